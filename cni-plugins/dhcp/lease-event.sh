#!/bin/sh
# What udhcpc calls at each event (udhcpc -s): $1 is the event, the lease is in the environment.
# RKT_DHCP_DIR is the attachment's directory below /run/cni/dhcp; see README.md.
# The address was configured by the main plugin from the lease of the first "bound"; here it is only kept or taken out of use.
set -u
dir=$RKT_DHCP_DIR

# The attachment is gone (or never was recorded): so is the need for a client.
if [ ! -f "$dir/attachment" ]; then
  kill "$PPID"
  exit 0
fi

ip_command() {
  if command -v ip >/dev/null; then ip "$@"; else busybox ip "$@"; fi
}

write_lease() {
  read -r uptime _ </proc/uptime
  # These are addresses and numbers, which udhcpc has decoded and printed itself: no text of the server's gets in here.
  printf '%s\n' "uptime=$uptime" "ip=${ip:-}" "mask=${mask:-}" "router=${router:-}" "routes=${routes:-}" \
    "staticroutes=${staticroutes:-}" "dns=${dns:-}" "serverid=${serverid:-}" "lease=${lease:-}" >"$dir/lease.new" &&
    mv "$dir/lease.new" "$dir/lease"
}

# The kernel itself takes the address out of use when nobody renews it any more. One that is not there stays away.
limit_address() {
  seconds=${lease:-4294967295}
  [ "$seconds" != 4294967295 ] || seconds=forever
  case "$(ip_command -4 addr show dev "$interface")" in
    *" $ip/$mask "*) ip_command addr change "$ip/$mask" dev "$interface" valid_lft "$seconds" preferred_lft "$seconds" ;;
  esac
}

case "$1" in
  bound)
    write_lease
    ;;
  renew)
    # DEL removes the lease before it ends the client.
    [ -f "$dir/lease" ] || exit 0
    write_lease
    limit_address
    ;;
  nak)
    printf '%s' "${message:-}" | tr -dc '[:print:]' | cut -c1-200 >"$dir/refused"
    ;;
  deconfig)
    # Before the first lease there is nothing to take back. Afterwards the address may be somebody else's any time: the link
    # goes down, as with the reference, and the client ends, for a pod cannot be given another address.
    [ -f "$dir/lease" ] || exit 0
    ip_command link set "$interface" down
    mv "$dir/lease" "$dir/lost"
    kill "$PPID"
    ;;
esac
exit 0
