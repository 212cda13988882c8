package sandbox

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// network is a sandbox's way out: a pair of links, one end inside, and the filter between them and the world.
type network struct {
	name        string // of the end outside, and of the table
	host, guest netip.Addr
	allow       []netip.AddrPort
}

// again repeats the listing of links, addresses and routes: the kernel tells when they changed meanwhile, which they
// do wherever sandboxes come and go.
func again[T any](list func() ([]T, error)) ([]T, error) {
	for range 100 {
		all, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return list()
}

func listLinks() ([]netlink.Link, error) { return again(netlink.LinkList) }

func listRoutes() ([]netlink.Route, error) {
	return again(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_V4) })
}

// address finds a free subnet and starts the relay there. The relay's socket is what reserves it, among all processes:
// a link goes by itself when its sandbox's program ends, and its relay only with the sandbox.
func (n *network) address(s Spec, start int) (*relay, error) {
	taken, err := takenAddresses()
	if err != nil {
		return nil, err
	}
	for range 32 {
		subnet, ok := freeSubnet(taken, start)
		if !ok {
			return nil, fmt.Errorf("%w: no address of %s is free", ErrUnavailable, pool)
		}
		r, err := listenRelay(s, subnet.Addr().Next())
		if errors.Is(err, syscall.EADDRINUSE) {
			taken = append(taken, subnet)
			err = r.close()
			if err != nil {
				return nil, err
			}
			continue
		}
		n.host = subnet.Addr().Next()
		n.guest = n.host.Next()
		return r, err
	}
	return nil, fmt.Errorf("%w: port 53 is taken on all addresses; let the DNS server of this machine listen on its own addresses only", ErrUnavailable)
}

// takenAddresses lists what the machine's links and routes use already.
func takenAddresses() ([]netip.Prefix, error) {
	addrs, err := again(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	routes, err := listRoutes()
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var taken []netip.Prefix
	for _, a := range addrs {
		taken = append(taken, prefixOf(a.IPNet))
	}
	for _, r := range routes {
		taken = append(taken, prefixOf(r.Dst))
	}
	return taken, nil
}

// prefixOf translates; what is no IPv4 network becomes the default route.
func prefixOf(n *net.IPNet) netip.Prefix {
	if n != nil {
		a, ok := netip.AddrFromSlice(n.IP)
		if bits, size := n.Mask.Size(); ok && size == 32 {
			return netip.PrefixFrom(a.Unmap(), bits).Masked()
		}
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// outward lists the interfaces by which something is reached that a sandbox may reach.
func outward(allow []netip.AddrPort) ([]string, error) {
	routes, err := listRoutes()
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var links []string
	for _, r := range routes {
		dst := prefixOf(r.Dst)
		wanted := dst.Bits() == 0 || public(dst.Addr()) ||
			slices.ContainsFunc(allow, func(a netip.AddrPort) bool { return dst.Contains(a.Addr()) })
		if !wanted || r.LinkIndex == 0 {
			continue
		}
		link, err := netlink.LinkByIndex(r.LinkIndex)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			continue // it has gone since
		}
		if err != nil {
			return nil, fmt.Errorf("find link of route to %s: %w", dst, err)
		}
		if name := link.Attrs().Name; name != "lo" && !slices.Contains(links, name) {
			links = append(links, name)
		}
	}
	return links, nil
}

// mtu is what a packet to the internet may measure.
func mtu() (int, error) {
	const usual = 1500
	routes, err := listRoutes()
	if err != nil {
		return 0, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if prefixOf(r.Dst).Bits() != 0 || r.LinkIndex == 0 {
			continue
		}
		link, err := netlink.LinkByIndex(r.LinkIndex)
		if err != nil {
			return 0, fmt.Errorf("find link of default route: %w", err)
		}
		return link.Attrs().MTU, nil
	}
	return usual, nil
}

// up makes the links and gives the process pid, which has a network namespace of its own, the inner end. The filter
// is there before: no packet ever passes without it.
func (n network) up(pid int) error {
	size, err := mtu()
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = n.name, size
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerMTU: uint32(size), PeerNamespace: netlink.NsPid(pid)} //nolint:gosec // sizes of packets
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("%w: make a pair of links (the kernel needs veth): %w", ErrUnavailable, err)
	}
	if err := n.upOutside(); err != nil {
		return err
	}
	return n.upInside(pid)
}

func (n network) upOutside() error {
	// where the kernel has no IPv6 at all there is nothing to switch off
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+n.name+"/disable_ipv6", []byte("1"), 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("switch off IPv6: %w", err)
	}
	if err := os.WriteFile(forwardFile(n.name), []byte("1"), 0o600); err != nil {
		return fmt.Errorf("forward from %s: %w", n.name, err)
	}
	link, err := netlink.LinkByName(n.name)
	if err != nil {
		return fmt.Errorf("find link %s: %w", n.name, err)
	}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: ipNet(n.host, 30)}); err != nil {
		return fmt.Errorf("give %s its address: %w", n.name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("switch on %s: %w", n.name, err)
	}
	return nil
}

func (n network) upInside(pid int) error {
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return fmt.Errorf("find network namespace: %w", err)
	}
	defer ns.Close() //nolint:errcheck // read only
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	defer h.Close()
	lo, err := h.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find loopback inside: %w", err)
	}
	eth, err := h.LinkByName("eth0")
	if err != nil {
		return fmt.Errorf("find link inside: %w", err)
	}
	if err := errors.Join(h.LinkSetUp(lo), h.AddrAdd(eth, &netlink.Addr{IPNet: ipNet(n.guest, 30)}), h.LinkSetUp(eth)); err != nil {
		return fmt.Errorf("switch on links inside: %w", err)
	}
	if err := h.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Gw: n.host.AsSlice()}); err != nil {
		return fmt.Errorf("set default route inside: %w", err)
	}
	return nil
}

// down removes the link and the filter; what is not there is fine.
func (n network) down() error {
	return errors.Join(removeLink(n.name), removeTable(n.name))
}

func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	// it goes by itself when the namespace of its other end ends, which may be now
	if err := netlink.LinkDel(link); err != nil && !errors.As(err, new(netlink.LinkNotFoundError)) && !gone(name) {
		return fmt.Errorf("remove link %s: %w", name, err)
	}
	return nil
}

func gone(name string) bool {
	_, err := netlink.LinkByName(name)
	return errors.As(err, new(netlink.LinkNotFoundError))
}

func ipNet(a netip.Addr, bits int) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, 32)}
}
