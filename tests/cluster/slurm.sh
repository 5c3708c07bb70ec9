#!/bin/bash
# Two Slurm nodes on one machine, in network and UTS namespaces; as root, on Debian with the packages
# that `install` gets.
#   slurm.sh install | up | down | on NODE COMMAND…     State is below $SLURM_TEST_STATE.
set -u
here=$(cd "$(dirname "$0")" && pwd)
state=${SLURM_TEST_STATE:-}
[ "$1" = install ] || : "${state:?SLURM_TEST_STATE names a folder for the state of Slurm}"
export SLURM_CONF=$state/slurm.conf

install() {
    unshare --net --uts true || return  # not root, or in a container without namespaces
    command -v slurmd && command -v ip && return
    apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        slurmctld slurmd slurm-client munge slurm-wlm-basic-plugins iproute2
}

on() {
    node=$1
    shift
    ip netns exec "$node" unshare -u sh -c 'hostname $0; exec "$@"' "$node" "$@"
}

up() {
    mkdir -p "$state/state" "$state/log"
    sed "s#@STATE@#$state#g" "$here/slurm.conf" >"$state/slurm.conf"
    cp "$here/cgroup.conf" "$state/"
    for node in n1 n2; do
        ip netns add $node && ip -n $node link set lo up
        mkdir -p /etc/netns/$node "$state/spool/$node"
        printf '127.0.0.1 localhost\n10.78.0.1 n1\n10.78.0.2 n2\n' >/etc/netns/$node/hosts
    done
    ip link add eth1 netns n1 type veth peer name eth1 netns n2
    for i in 1 2; do
        ip -n n$i addr add 10.78.0.$i/24 dev eth1 && ip -n n$i link set eth1 up
    done
    mkdir -p /run/munge && chown munge /run/munge && runuser -u munge -- munged
    sleep 1
    on n1 slurmctld -i
    sleep 1
    on n1 slurmd -N n1
    on n2 slurmd -N n2
    for _ in $(seq 40); do
        [ "$(on n1 sinfo -h -t idle -o %D -p normal)" = 2 ] && return
        sleep 0.5
    done
    return 1
}

down() {
    for pid in "$state"/*.pid /run/munge/munged.pid; do
        [ -e "$pid" ] && kill "$(cat "$pid")"
    done
    sleep 1
    for node in n1 n2; do
        ip netns pids $node | xargs --no-run-if-empty kill -KILL  # jobs that were left
        ip netns del $node
        rm -rf /etc/netns/$node
    done
}

"$@"
