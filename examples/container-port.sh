# A container's interface, attached to a bridge as the script ovs-docker does it.
#
# ovs-docker makes a veth pair, puts one end into the bridge and notes in external_ids to which
# container and interface it belongs; that note is all it needs to find the port again.
D=$(mktemp -d)
ovs-appctl time/stop
WEB=c474a0e2830e
DB=7be1f0aa9d21

echo "== add-port br-int eth0 web: is there such a port already? The empty answer says no"
ovs-vsctl --timeout=60 --data=bare --no-heading --columns=name find interface external_ids:container_id="$WEB" external_ids:container_iface=eth0
ovs-vsctl --timeout=60 br-exists br-int || ovs-vsctl --timeout=60 add-br br-int
ovs-vsctl --timeout=60 set bridge br-int other_config:hwaddr=02:00:00:00:00:01
ovs-vsctl --timeout=60 --may-exist add-port br-int 3f2a91c0d5e44_l -- set interface 3f2a91c0d5e44_l external_ids:container_id="$WEB" external_ids:container_iface=eth0
ovs-vsctl --timeout=60 --may-exist add-port br-int 91b4e7d20aa31_l -- set interface 91b4e7d20aa31_l external_ids:container_id="$WEB" external_ids:container_iface=eth1
ovs-vsctl --timeout=60 --may-exist add-port br-int 0c55e2bb71f92_l -- set interface 0c55e2bb71f92_l external_ids:container_id="$DB" external_ids:container_iface=eth0
ovs-vsctl set interface 3f2a91c0d5e44_l options:tx_pcap=$D/web.pcap
ovs-vsctl set interface 0c55e2bb71f92_l options:tx_pcap=$D/db.pcap

echo "== from a container and its interface to the port"
PORT=$(ovs-vsctl --timeout=60 --data=bare --no-heading --columns=name find interface external_ids:container_id="$DB" external_ids:container_iface=eth0)
echo $PORT
ovs-vsctl get interface $PORT external_ids

echo "== set-vlan br-int eth0 db 5: the two containers do not see each other any more"
ovs-appctl ofproto/trace br-int in_port=$PORT,dl_src=02:42:ac:11:00:03,dl_dst=ff:ff:ff:ff:ff:ff
ovs-vsctl --timeout=60 set port "$PORT" tag=5
ovs-appctl ofproto/trace br-int in_port=$PORT,dl_src=02:42:ac:11:00:03,dl_dst=ff:ff:ff:ff:ff:ff

echo "== both in VLAN 5: db asks for web, web answers"
ovs-vsctl --timeout=60 set port 3f2a91c0d5e44_l tag=5
ovs-appctl netdev-dummy/receive $PORT "eth(src=02:42:ac:11:00:03,dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),arp(sip=172.17.0.3,tip=172.17.0.2,op=1,sha=02:42:ac:11:00:03,tha=00:00:00:00:00:00)"
ovs-appctl netdev-dummy/receive 3f2a91c0d5e44_l "eth(src=02:42:ac:11:00:02,dst=02:42:ac:11:00:03),eth_type(0x0806),arp(sip=172.17.0.2,tip=172.17.0.3,op=2,sha=02:42:ac:11:00:02,tha=02:42:ac:11:00:03)"
ovs-appctl fdb/show br-int
ovs-pcap $D/web.pcap
ovs-pcap $D/db.pcap

echo "== del-ports br-int web: every interface of that container"
ovs-vsctl --timeout=60 --data=bare --no-heading --columns=name find interface external_ids:container_id="$WEB" | sort
ovs-vsctl --timeout=60 --if-exists del-port 3f2a91c0d5e44_l
ovs-vsctl --timeout=60 --if-exists del-port 91b4e7d20aa31_l
ovs-vsctl --timeout=60 --if-exists del-port 91b4e7d20aa31_l
ovs-vsctl list-ports br-int
ovs-vsctl --timeout=60 --data=bare --no-heading --columns=name find interface external_ids:container_id="$WEB"
ovs-appctl fdb/show br-int
