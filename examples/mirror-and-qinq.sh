# A provider's bridge: customers' VLANs travel inside one of the provider's (QinQ), and a mirror watches.
#
# A dot1q-tunnel port puts the outer tag on and takes it off; the trunk carries both tags. For that the
# switch has to look at two tags. The mirror copies what customer 1 sends and receives.
D=$(mktemp -d)
ovs-appctl time/stop
ovs-vsctl set Open_vSwitch . other_config:vlan-limit=2
ovs-vsctl add-br br0 -- set bridge br0 other_config:hwaddr=02:00:00:00:00:01
ovs-vsctl add-port br0 c1 vlan_mode=dot1q-tunnel tag=100 -- set interface c1 type=dummy ofport_request=1 options:tx_pcap=$D/c1.pcap
ovs-vsctl add-port br0 c2 vlan_mode=dot1q-tunnel tag=200 -- set interface c2 type=dummy ofport_request=2 options:tx_pcap=$D/c2.pcap
ovs-vsctl add-port br0 trunk trunks=100,200 -- set interface trunk type=dummy ofport_request=3 options:tx_pcap=$D/trunk.pcap
ovs-vsctl add-port br0 probe -- set interface probe type=dummy ofport_request=4 options:tx_pcap=$D/probe.pcap
ovs-vsctl -- --id=@c1 get port c1 -- --id=@probe get port probe -- --id=@m create mirror name=watch select_src_port=@c1 select_dst_port=@c1 output_port=@probe -- set bridge br0 mirrors=@m > /dev/null

echo "== customer 1 uses VLAN 10; on the trunk it is inside VLAN 100"
ovs-appctl netdev-dummy/receive c1 ffffffffffff0200000000118100000a080600010800060400010200000000110a0000010000000000000a000002
ovs-pcap $D/trunk.pcap
echo "== an answer comes back on the trunk and leaves customer 1's port with one tag"
ovs-appctl netdev-dummy/receive trunk 02000000001102000000002288a800648100000a080600010800060400020200000000220a0000020200000000110a000001
ovs-pcap $D/c1.pcap
ovs-appctl fdb/show br0
echo "== customer 2 saw nothing, the probe saw both"
ovs-pcap $D/c2.pcap | wc -l
ovs-pcap $D/probe.pcap
ovs-appctl dpctl/dump-flows | sort
