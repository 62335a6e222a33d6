# An integration and a tunnel bridge as OpenStack lays them out.
D=$(mktemp -d)
ovs-appctl time/stop > /dev/null
ovs-vsctl add-br br-tun -- set bridge br-tun fail_mode=secure other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00
ovs-vsctl add-br br-int -- set bridge br-int fail_mode=secure other_config:datapath-id=0000000000000011 other_config:hwaddr=aa:66:aa:66:00:01
ovs-vsctl add-br br-phy -- set bridge br-phy other_config:datapath-id=0000000000000012 other_config:hwaddr=aa:66:aa:66:00:02
ovs-vsctl add-port br-int vm1 tag=1 -- set interface vm1 type=dummy ofport_request=1 options:tx_pcap=$D/vm1-tx.pcap
ovs-vsctl add-port br-int vm2 tag=2 -- set interface vm2 type=dummy ofport_request=2 options:tx_pcap=$D/vm2-tx.pcap
ovs-vsctl add-port br-phy eth0 -- set interface eth0 type=dummy ofport_request=1 options:tx_pcap=$D/eth0-tx.pcap
ovs-appctl netdev-dummy/ip4addr br-phy 10.10.0.1/24 > /dev/null
ovs-appctl ovs/route/add 10.10.0.0/24 br-phy > /dev/null
ovs-appctl tnl/neigh/set br-phy 10.10.0.2 52:54:00:00:00:02 > /dev/null
ovs-appctl tnl/neigh/set br-phy 10.10.0.3 52:54:00:00:00:03 > /dev/null
ovs-vsctl add-port br-int patch-tun -- set interface patch-tun type=patch options:peer=patch-int ofport_request=9
ovs-vsctl add-port br-tun patch-int -- set interface patch-int type=patch options:peer=patch-tun ofport_request=1
ovs-vsctl add-port br-tun vxlan-0a0a0002 -- set interface vxlan-0a0a0002 type=vxlan options:in_key=flow options:out_key=flow options:remote_ip=10.10.0.2 options:df_default=true ofport_request=2
ovs-vsctl add-port br-tun vxlan-0a0a0003 -- set interface vxlan-0a0a0003 type=vxlan options:in_key=flow options:out_key=flow options:remote_ip=10.10.0.3 options:df_default=true ofport_request=3
ovs-ofctl add-flows br-int - > /dev/null <<FLOWS
priority=0 actions=NORMAL
FLOWS
ovs-ofctl add-flows br-tun - > /dev/null <<FLOWS
table=0,priority=1,in_port=1 actions=resubmit(,2)
table=0,priority=1,in_port=2 actions=resubmit(,4)
table=0,priority=1,in_port=3 actions=resubmit(,4)
table=0,priority=0 actions=drop
table=2,priority=1,arp,dl_dst=ff:ff:ff:ff:ff:ff actions=resubmit(,21)
table=2,priority=0,dl_dst=00:00:00:00:00:00/01:00:00:00:00:00 actions=resubmit(,20)
table=2,priority=0,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=resubmit(,22)
table=4,priority=1,tun_id=0x2a actions=mod_vlan_vid:1,resubmit(,10)
table=4,priority=1,tun_id=0x2b actions=mod_vlan_vid:2,resubmit(,10)
table=4,priority=0 actions=drop
table=10,priority=1 actions=learn(table=20,hard_timeout=300,priority=1,cookie=0x9a1,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:OXM_OF_IN_PORT[]),output:1
table=20,priority=0 actions=resubmit(,22)
table=21,priority=1,arp,dl_vlan=1,arp_tpa=192.168.1.30 actions=load:0x2->NXM_OF_ARP_OP[],move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],load:0xfa163e000030->NXM_NX_ARP_SHA[],load:0xc0a8011e->NXM_OF_ARP_SPA[],move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],mod_dl_src:fa:16:3e:00:00:30,IN_PORT
table=21,priority=0 actions=resubmit(,22)
table=22,priority=1,dl_vlan=1 actions=strip_vlan,load:0x2a->NXM_NX_TUN_ID[],output:2,output:3
table=22,priority=1,dl_vlan=2 actions=strip_vlan,load:0x2b->NXM_NX_TUN_ID[],output:3
table=22,priority=0 actions=drop
FLOWS
ovs-appctl netdev-dummy/receive vm1 ffffffffffff50540000000108060001080006040001505400000001c0a80101000000000000c0a80114
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive vm1 ffffffffffff50540000000108060001080006040001505400000001c0a80101000000000000c0a8011e
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive eth0 aa66aa66000252540000000208004500004e00000000401166890a0a00020a0a00019c4012b5003a2f670800000000002a0050540000000150540000002008060001080006040002505400000020c0a80114505400000001c0a80101
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive eth0 aa66aa66000252540000000208004500004e00000000401166890a0a00020a0a00019c4012b5003acf0e0800000000002b00ffffffffffff50540000002108060001080006040001505400000021c0a80115000000000000c0a80102
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive eth0 aa66aa66000252540000000208004500004e00000000401166890a0a00020a0a00019c4012b5003ace0c0800000000002c00ffffffffffff50540000002208060001080006040001505400000022c0a80115000000000000c0a80102
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive vm1 50540000002050540000000108004500001c000000004001f77bc0a80101c0a801140800f7fd00010001
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive vm2 50540000002050540000000208004500001c000000004001f77bc0a80101c0a801140800f7fd00010001
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive vm2 50540000002150540000000208004500001c000000004001f77bc0a80101c0a801140800f7fd00010001
ovs-appctl revalidator/wait
echo '$ ovs-pcap vm1-tx.pcap'
ovs-pcap $D/vm1-tx.pcap
echo '$ ovs-pcap vm2-tx.pcap'
ovs-pcap $D/vm2-tx.pcap
echo '$ ovs-pcap eth0-tx.pcap'
ovs-pcap $D/eth0-tx.pcap
echo '$ ovs-ofctl dump-flows br-tun'
ovs-ofctl dump-flows br-tun
echo '$ ovs-ofctl dump-flows br-tun table=20'
ovs-ofctl dump-flows br-tun table=20
echo '$ ovs-appctl fdb/show br-int'
ovs-appctl fdb/show br-int
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
echo '$ ovs-appctl ofproto/trace br-int in_port=1,icmp,dl_src=50:54:00:00:00:01,dl_dst=50:54:00:0...'
ovs-appctl ofproto/trace br-int in_port=1,icmp,dl_src=50:54:00:00:00:01,dl_dst=50:54:00:00:00:20,nw_ttl=64
echo '$ ovs-appctl time/warp 301000'
ovs-appctl time/warp 301000
ovs-appctl revalidator/wait
echo '$ ovs-ofctl dump-flows br-tun table=20'
ovs-ofctl dump-flows br-tun table=20
echo '$ ovs-appctl fdb/show br-int'
ovs-appctl fdb/show br-int
ovs-appctl dpctl/dump-flows | sort
