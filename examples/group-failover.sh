# Two uplinks, the second only if the first is down: a fast failover group, and what its megaflows do.
D=$(mktemp -d)
ovs-appctl time/stop
ovs-vsctl add-br br0 -- set bridge br0 fail_mode=secure other_config:hwaddr=02:00:00:00:00:01
ovs-vsctl add-port br0 lan -- set interface lan type=dummy ofport_request=1
ovs-vsctl add-port br0 up1 -- set interface up1 type=dummy ofport_request=11 options:tx_pcap=$D/up1.pcap
ovs-vsctl add-port br0 up2 -- set interface up2 type=dummy ofport_request=12 options:tx_pcap=$D/up2.pcap
ovs-ofctl -O OpenFlow13 add-group br0 group_id=1,type=ff,bucket=watch_port:11,actions=output:11,bucket=watch_port:12,actions=output:12
ovs-ofctl -O OpenFlow13 add-flow br0 in_port=1,ip,actions=dec_ttl,group:1
PACKET="eth(src=02:00:00:00:00:10,dst=02:00:00:00:00:99),eth_type(0x0800),ipv4(src=10.0.0.1,dst=198.51.100.1,proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=53)"

echo "== both links are up: the first bucket is live"
ovs-appctl netdev-dummy/receive lan "$PACKET"
ovs-appctl ofproto/trace br0 in_port=1,udp,nw_dst=198.51.100.1,nw_ttl=64
ovs-appctl dpctl/dump-flows

echo "== up1 goes down: the megaflow that is there gets new actions"
ovs-appctl netdev-dummy/set-admin-state up1 down
ovs-appctl revalidator/wait
ovs-appctl dpctl/dump-flows
ovs-appctl netdev-dummy/receive lan "$PACKET"

echo "== both down: nobody is left"
ovs-appctl netdev-dummy/set-admin-state up2 down
ovs-appctl revalidator/wait
ovs-appctl ofproto/trace br0 in_port=1,udp,nw_dst=198.51.100.1,nw_ttl=64

echo "== up1 comes back"
ovs-appctl netdev-dummy/set-admin-state up1 up
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive lan "$PACKET"
ovs-appctl revalidator/wait
ovs-ofctl -O OpenFlow13 dump-group-stats br0 | sed 's/duration=[0-9.]*s/duration=*s/'
echo "up1 sent:"
ovs-pcap $D/up1.pcap | wc -l
echo "up2 sent:"
ovs-pcap $D/up2.pcap | wc -l
