# A meter polices a port: two packets a second, bursts of up to three, seen by the virtual clock.
D=$(mktemp -d)
ovs-appctl time/stop
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure other_config:hwaddr=02:00:00:00:00:01
ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy ofport_request=1
ovs-vsctl add-port br0 p2 -- set interface p2 type=dummy ofport_request=2 options:tx_pcap=$D/p2.pcap
ovs-ofctl -O OpenFlow13 add-meter br0 meter=1,pktps,burst,stats,band=type=drop,rate=2,burst_size=3
ovs-ofctl -O OpenFlow13 add-flow br0 in_port=1,udp,actions=meter:1,output:2
PACKET="eth(src=02:00:00:00:00:11,dst=02:00:00:00:00:22),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=53)"

echo "== five packets at once"
ovs-appctl netdev-dummy/receive p1 "$PACKET" "$PACKET" "$PACKET" "$PACKET" "$PACKET"
ovs-appctl revalidator/wait
ovs-pcap $D/p2.pcap | wc -l
ovs-ofctl -O OpenFlow13 meter-stats br0

echo "== a second later there are tokens for two more"
ovs-appctl time/warp 1000
ovs-appctl netdev-dummy/receive p1 "$PACKET" "$PACKET" "$PACKET"
ovs-appctl revalidator/wait
ovs-pcap $D/p2.pcap | wc -l
ovs-ofctl -O OpenFlow13 meter-stats br0

echo "== the meter is an action of the datapath"
ovs-appctl dpctl/dump-flows
