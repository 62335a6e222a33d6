# A service of Kubernetes by node port: two bridges, a group, NAT.
D=$(mktemp -d)
ovs-appctl time/stop > /dev/null
ovs-vsctl add-br br-ex -- set bridge br-ex fail_mode=secure other_config:datapath-id=0000000000000010 other_config:hwaddr=aa:66:aa:66:00:00
ovs-vsctl add-br br-int -- set bridge br-int fail_mode=secure other_config:datapath-id=0000000000000011 other_config:hwaddr=aa:66:aa:66:00:01
ovs-vsctl add-port br-ex eth0 -- set interface eth0 type=dummy ofport_request=1 options:tx_pcap=$D/eth0-tx.pcap
ovs-vsctl add-port br-int pod1 -- set interface pod1 type=dummy ofport_request=1 options:tx_pcap=$D/pod1-tx.pcap
ovs-vsctl add-port br-int pod2 -- set interface pod2 type=dummy ofport_request=2 options:tx_pcap=$D/pod2-tx.pcap
ovs-vsctl add-port br-ex patch-ex -- set interface patch-ex type=patch options:peer=patch-int ofport_request=10
ovs-vsctl add-port br-int patch-int -- set interface patch-int type=patch options:peer=patch-ex ofport_request=10
ovs-ofctl -O OpenFlow15 add-groups br-int - > /dev/null <<FLOWS
group_id=100,type=select,selection_method=dp_hash,bucket=bucket_id:0,weight:100,actions=ct(commit,zone=7,nat(dst=10.244.0.11:8080),table=4,exec(set_field:1->ct_mark)),bucket=bucket_id:1,weight:100,actions=ct(commit,zone=7,nat(dst=10.244.0.12:8080),table=4,exec(set_field:2->ct_mark))
FLOWS
ovs-ofctl -O OpenFlow13 add-flows br-ex - > /dev/null <<FLOWS
table=0,priority=50,in_port=1,tcp,nw_dst=172.18.0.2,tp_dst=30080 actions=output:10
table=0,priority=50,in_port=10,ip actions=mod_dl_src:02:42:ac:12:00:02,output:1
table=0,priority=0 actions=normal
FLOWS
ovs-ofctl -O OpenFlow13 add-flows br-int - > /dev/null <<FLOWS
table=0,in_port=10,tcp actions=ct(zone=7,nat,table=1)
table=0,priority=2,ip,in_port=1 actions=ct(zone=7,nat,table=3)
table=0,priority=2,ip,in_port=2 actions=ct(zone=7,nat,table=3)
table=1,ct_state=+trk+new,tcp,nw_dst=172.18.0.2,tp_dst=30080 actions=group:100
table=1,ct_state=+trk+est,tcp actions=resubmit(,4)
table=3,ct_state=+trk+est,ip actions=dec_ttl,10
table=4,ip,nw_dst=10.244.0.11 actions=mod_dl_dst:0a:58:0a:f4:00:0b,dec_ttl,1
table=4,ip,nw_dst=10.244.0.12 actions=mod_dl_dst:0a:58:0a:f4:00:0c,dec_ttl,2
FLOWS
ovs-appctl netdev-dummy/receive eth0 5054000000095054000000010800450000280000000040060513c0a80901ac120002c3517580000000010000000050022000e1510000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive eth0 5054000000095054000000020800450000280000000040060512c0a80902ac120002c3527580000000010000000050022000e14f0000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive eth0 5054000000095054000000030800450000280000000040060511c0a80903ac120002c3537580000000010000000050022000e14d0000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive eth0 5054000000095054000000040800450000280000000040060510c0a80904ac120002c3547580000000010000000050022000e14b0000
ovs-appctl revalidator/wait
echo '$ ovs-appctl dpctl/dump-conntrack'
ovs-appctl dpctl/dump-conntrack | sort
echo '$ ovs-pcap pod1-tx.pcap'
ovs-pcap $D/pod1-tx.pcap
ovs-pcap $D/pod2-tx.pcap
ovs-appctl netdev-dummy/receive pod1 505400000001505400000011080045000028000000004006a6280af4000bc0a809011f90c351000000050000000250122000d8410000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive pod2 505400000001505400000012080045000028000000004006a6260af4000cc0a809021f90c352000000050000000250122000d83e0000
ovs-appctl revalidator/wait
ovs-appctl netdev-dummy/receive eth0 5054000000095054000000010800450000280000000040060513c0a80901ac120002c3517580000000020000000650102000e13c0000
ovs-appctl revalidator/wait
echo '$ ovs-pcap eth0-tx.pcap'
ovs-pcap $D/eth0-tx.pcap
echo '$ ovs-pcap pod1-tx.pcap'
ovs-pcap $D/pod1-tx.pcap
echo '$ ovs-appctl dpctl/dump-flows'
ovs-appctl dpctl/dump-flows | sort
echo '$ ovs-ofctl -O OpenFlow15 dump-group-stats br-int'
ovs-ofctl -O OpenFlow15 dump-group-stats br-int | sort | sed 's/duration=[0-9.]*s/duration=*s/'
echo '$ ovs-ofctl dump-flows br-int'
ovs-ofctl dump-flows br-int
echo '$ ovs-appctl ofproto/trace br-ex in_port=1,tcp,nw_src=192.168.9.1,nw_dst=172.18.0.2,tcp_sr... --ct-next trk,new'
ovs-appctl ofproto/trace br-ex in_port=1,tcp,nw_src=192.168.9.1,nw_dst=172.18.0.2,tcp_src=50001,tcp_dst=30080,nw_ttl=64 --ct-next trk,new
