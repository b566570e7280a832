#!/bin/sh
# Starts k3s on a machine; cloud-init runs it once, and a second time changes nothing.
# /etc/maxcloud/machine says ROLE (server or agent), K3S_VERSION and NETWORK_RANGE;
# /etc/rancher/k3s/config.yaml is there already.
set -eu

# shellcheck source=/dev/null
. "${MACHINE:-/etc/maxcloud/machine}"
config=${CONFIG:-/etc/rancher/k3s}

# The address and the interface of the private network, which Hetzner attaches some time later.
private() {
  ip -4 -oneline address show to "$NETWORK_RANGE" scope global |
    awk '{ split($4, address, "/"); print address[1], $2; exit }'
}

tries=0
until found=$(private) && [ -n "$found" ]; do
  tries=$((tries + 1))
  if [ "$tries" -ge "${TRIES:-150}" ]; then
    echo "this machine has no address in $NETWORK_RANGE" >&2
    exit 1
  fi
  sleep 2
done
address=${found% *}
interface=${found#* }

mkdir -p "$config/config.yaml.d"
{
  echo "node-ip: $address"
  echo "flannel-iface: $interface"
  if [ "$ROLE" = server ]; then
    echo "advertise-address: $address"
    # What operators connect to stands in the certificate.
    metadata=http://169.254.169.254/hetzner/v1/metadata/public-ipv4
    echo "tls-san: [$(curl --silent --show-error --fail --retry 10 "$metadata")]"
  fi
} >"$config/config.yaml.d/10-addresses.yaml"

# The installer of the release itself: it checks the program against the release's checksums.
installer=https://raw.githubusercontent.com/k3s-io/k3s/$K3S_VERSION/install.sh
curl --silent --show-error --fail --location --retry 10 --output "$config/install" "$installer"
INSTALL_K3S_VERSION=$K3S_VERSION sh "$config/install" "$ROLE"
