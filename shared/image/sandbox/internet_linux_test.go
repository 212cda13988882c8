package sandbox_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/gigurra/flycd/shared/image/imagetest"
)

// world is a network of its own that plays the internet, and all that lies around the machine: there is no other way
// to show what is reached where no internet is. It is joined to this machine by a pair of links.
type world struct {
	t    *testing.T
	ns   netns.NsHandle
	link string     // at this end
	here netip.Addr // this machine, as the world knows it
	far  netip.Addr // the world's end
}

// worlds counts them, for names.
var worlds atomic.Int64

// newWorld makes one that lasts as long as the test.
func newWorld(t *testing.T) *world {
	t.Helper()
	imagetest.NeedRoot(t)
	// several test programs may run at once
	n := worlds.Add(1)
	block := freeBlock(t, os.Getpid()*7+int(n)*31)
	w := &world{
		t: t, link: fmt.Sprintf("tw%dx%d", os.Getpid(), n),
		here: netip.AddrFrom4([4]byte{203, 0, 113, block + 1}), far: netip.AddrFrom4([4]byte{203, 0, 113, block + 2}),
	}
	w.inside(func() error {
		var err error
		w.ns, err = netns.New()
		return err
	})
	attrs := netlink.NewLinkAttrs()
	attrs.Name = w.link
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "world", PeerNamespace: netlink.NsFd(w.ns)}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(netlink.LinkDel(pair), w.ns.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(address(netlink.LinkByName, w.link, w.here, 30, netlink.AddrAdd), netlink.LinkSetUp(pair)); err != nil {
		t.Fatal(err)
	}
	w.inside(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		end, err := netlink.LinkByName("world")
		if err != nil {
			return err
		}
		return errors.Join(netlink.LinkSetUp(lo), address(netlink.LinkByName, "world", w.far, 30, netlink.AddrAdd), netlink.LinkSetUp(end))
	})
	return w
}

// freeBlock finds four addresses of 203.0.113.0/24 that no other world has.
func freeBlock(t *testing.T, from int) byte {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 64 {
		block := byte((from+i)%64) * 4
		mine := net.IPv4(203, 0, 113, block+1)
		if !slices.ContainsFunc(addrs, func(a net.Addr) bool { return a.(*net.IPNet).IP.Equal(mine) }) {
			return block
		}
	}
	t.Fatal("there are 64 worlds already")
	return 0
}

func address(find func(string) (netlink.Link, error), link string, a netip.Addr, bits int, add func(netlink.Link, *netlink.Addr) error) error {
	l, err := find(link)
	if err != nil {
		return err
	}
	return add(l, &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, 32)}})
}

// inside runs do in the world's network; in a new one where there is none yet.
func (w *world) inside(do func() error) {
	w.t.Helper()
	answer := make(chan error)
	go func() {
		// never unlocked: the thread ends with this function
		runtime.LockOSThread()
		if w.ns.IsOpen() && w.ns != 0 {
			if err := netns.Set(w.ns); err != nil {
				answer <- err
				return
			}
		}
		answer <- do()
	}()
	if err := <-answer; err != nil {
		w.t.Fatal(err)
	}
}

// own gives an address beside a that no other test program running now uses.
func own(a string) netip.Addr {
	b := netip.MustParseAddr(a).As4()
	b[3] = byte(os.Getpid()%250) + 2
	return netip.AddrFrom4(b)
}

// place gives the world one more address, to which this machine has a route.
func (w *world) place(a netip.Addr) {
	w.t.Helper()
	w.inside(func() error { return address(netlink.LinkByName, "lo", a, 32, netlink.AddrAdd) })
	link, err := netlink.LinkByName(w.link)
	if err != nil {
		w.t.Fatal(err)
	}
	// the route goes with the link
	err = netlink.RouteAdd(&netlink.Route{
		LinkIndex: link.Attrs().Index, Gw: w.far.AsSlice(), Dst: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(32, 32)},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// serve answers HTTP on a port of all the world's addresses with the address of who asks, until the test ends.
func (w *world) serve() (port uint16) {
	w.t.Helper()
	var l net.Listener
	w.inside(func() (err error) {
		l, err = net.Listen("tcp4", "0.0.0.0:0")
		return err
	})
	tell(w.t, l)
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

// tell serves the address of who asks.
func tell(t *testing.T, l net.Listener) {
	t.Helper()
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(rw, r.RemoteAddr) })}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
}

// datagrams listens for them in the world.
func (w *world) datagrams() net.PacketConn {
	w.t.Helper()
	var c net.PacketConn
	w.inside(func() (err error) {
		c, err = net.ListenPacket("udp4", "0.0.0.0:0")
		return err
	})
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// here serves on an address of this machine.
func here(t *testing.T, network, at string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	tell(t, l)
	return netip.MustParseAddrPort(l.Addr().String())
}

// routeBy makes the world send what is for a by this machine.
func (w *world) routeBy(a netip.Addr) {
	w.t.Helper()
	w.inside(func() error {
		link, err := netlink.LinkByName("world")
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{
			LinkIndex: link.Attrs().Index, Gw: w.here.AsSlice(), Dst: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(32, 32)},
		})
	})
}

// dial calls from the world, for long enough on links without delay.
func (w *world) dial(to string) error {
	w.t.Helper()
	var called error
	w.inside(func() error {
		c, err := net.DialTimeout("tcp4", to, 500*time.Millisecond)
		if called = err; err == nil {
			_ = c.Close()
		}
		return nil
	})
	return called
}
