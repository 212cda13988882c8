package sandbox_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/image/sandbox"
)

func TestInternetIsReached(t *testing.T) {
	w := newWorld(t)
	far := own("198.51.100.77")
	w.place(far)
	port := w.serve()
	for _, a := range []netip.Addr{w.far, far} {
		got := finish(t, sandbox.Spec{}, "get", "http://"+netip.AddrPortFrom(a, port).String())
		if host, _, _ := net.SplitHostPort(got); host != w.here.String() {
			t.Errorf("%s was asked by %q, want the machine's own address %s", a, got, w.here)
		}
	}
}

func TestNothingPrivateIsReached(t *testing.T) {
	w := newWorld(t)
	port := w.serve()
	var targets []string
	for _, a := range []string{
		"10.77.7.7", "100.64.7.7", "169.254.77.7", "172.16.77.7", "172.31.77.7", "192.168.77.7", "192.0.0.77", "198.19.77.7",
		"100.127.77.7", "10.255.255.77",
	} {
		a := own(a)
		w.place(a)
		targets = append(targets, fmt.Sprintf("tcp/%s:%d", a, port))
	}
	everywhere, loopback := here(t, "tcp", ":0"), here(t, "tcp4", "127.0.0.1:0")
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		ip := a.(*net.IPNet).IP
		if ip.To4() != nil || ip.IsGlobalUnicast() {
			targets = append(targets, "tcp/"+net.JoinHostPort(ip.String(), fmt.Sprint(everywhere.Port())))
		}
	}
	targets = append(targets, "tcp/"+loopback.String())
	// the machine itself reaches them all: what is refused inside is there
	for _, a := range targets {
		network, address, _ := strings.Cut(a, "/")
		c, err := net.DialTimeout(network, address, 2*time.Second)
		if err != nil {
			t.Fatal("not reached from the machine:", err)
		}
		_ = c.Close()
	}
	box, out := start(t, sandbox.Spec{}, append([]string{
		"dial", "tcp/[fdaa::3]:53", "tcp/[::1]:" + fmt.Sprint(everywhere.Port()), "tcp/169.254.169.254:80", "tcp/255.255.255.255:80", "tcp/0.0.0.0:80",
	}, targets...)...)
	ends(t, box)
	text := out.String()
	if got, want := strings.Count(text, "denied "), len(targets)+5; got != want || strings.Contains(text, "reached ") {
		t.Errorf("%d of %d are refused:\n%s", got, want, text)
	}
	// no answer at all would make a build wait for minutes
	if strings.Contains(text, "timeout") {
		t.Errorf("refused without a word:\n%s", text)
	}
}

func TestTheMachinesEndIsNotReached(t *testing.T) {
	everywhere := here(t, "tcp", ":0")
	box, out := start(t, sandbox.Spec{}, "wait")
	at := box.Resolver()
	if err := box.Close(); err != nil {
		t.Fatal(err, out)
	}
	// the same process gets the same addresses again
	text := finish(t, sandbox.Spec{}, "dial", fmt.Sprintf("tcp/%s:%d", at, everywhere.Port()), fmt.Sprintf("tcp/%s:53", at), fmt.Sprintf("tcp/%s:22", at))
	if strings.Count(text, "denied") != 2 || !strings.Contains(text, fmt.Sprintf("reached tcp/%s:53", at)) {
		t.Errorf("got:\n%s", text)
	}
}

func TestAllowedIsReached(t *testing.T) {
	w := newWorld(t)
	private := own("10.77.8.7")
	w.place(private)
	port, other := w.serve(), w.serve()
	loopback, closed := here(t, "tcp4", "127.0.0.1:0"), here(t, "tcp4", "127.0.0.1:0")
	mine := netip.AddrPortFrom(w.here, here(t, "tcp4", w.here.String()+":0").Port())
	text := finish(t, sandbox.Spec{Allow: []netip.AddrPort{netip.AddrPortFrom(private, port), loopback, mine}},
		"dial", fmt.Sprintf("tcp/%s:%d", private, port), "tcp/"+loopback.String(), "tcp/"+mine.String(),
		fmt.Sprintf("tcp/%s:%d", private, other), "tcp/"+closed.String())
	if strings.Count(text, "reached") != 3 || strings.Count(text, "denied") != 2 {
		t.Errorf("got:\n%s", text)
	}
	got := finish(t, sandbox.Spec{Allow: []netip.AddrPort{loopback}}, "get", "http://"+loopback.String())
	if !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("the machine's loopback said %q", got)
	}
}

func TestSandboxesDoNotReachEachOther(t *testing.T) {
	_, out := start(t, sandbox.Spec{}, "listen", "7777")
	at := out.await(t, "listening ")
	text := finish(t, sandbox.Spec{}, "dial", "tcp/"+at+":7777", "tcp/127.0.0.1:7777")
	if strings.Count(text, "denied") != 2 {
		t.Errorf("got:\n%s", text)
	}
}

func TestForgedSenderIsDropped(t *testing.T) {
	w := newWorld(t)
	c := w.datagrams()
	port := netip.MustParseAddrPort(c.LocalAddr().String()).Port()
	text := finish(t, sandbox.Spec{}, "spoof", netip.AddrPortFrom(w.far, port).String())
	if text != "" {
		t.Fatal(text)
	}
	b := make([]byte, 100)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, from, err := c.ReadFrom(b)
	if err != nil || string(b[:n]) != "honest" {
		t.Errorf("the first datagram is %q from %v (%v)", b[:n], from, err)
	}
}

func TestAbstractSocketIsNotReached(t *testing.T) {
	name := fmt.Sprintf("@flycd-test-%d", os.Getpid())
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := net.Dial("unix", name)
	if err != nil {
		t.Fatal("not reached from the machine:", err)
	}
	_ = c.Close()
	if got := finish(t, sandbox.Spec{}, "abstract", name); !strings.Contains(got, "refused") {
		t.Errorf("got %s", got)
	}
}

func TestNetworkInsideIsIPv4AsWideAsTheMachines(t *testing.T) {
	imagetest.NeedRoot(t)
	want := 1500
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	for errors.Is(err, netlink.ErrDumpInterrupted) {
		routes, err = netlink.RouteList(nil, netlink.FAMILY_V4)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if r.Dst == nil || r.Dst.IP.IsUnspecified() {
			link, err := netlink.LinkByIndex(r.LinkIndex)
			if err != nil {
				t.Fatal(err)
			}
			want = link.Attrs().MTU
		}
	}
	text := finish(t, sandbox.Spec{}, "network")
	if strings.Contains(text, ":") || !strings.Contains(text, fmt.Sprintf("eth0 %d [198.1", want)) {
		t.Errorf("want IPv4 and an MTU of %d; got:\n%s", want, text)
	}
}

// TestForwardingIsGivenBack looks at a link that nobody else's sandboxes know.
func TestForwardingIsGivenBack(t *testing.T) {
	w := newWorld(t)
	file := "/proc/sys/net/ipv4/conf/" + w.link + "/forwarding"
	read := func() string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	before := read()
	first, _ := start(t, sandbox.Spec{}, "wait")
	second, _ := start(t, sandbox.Spec{}, "wait")
	if got := read(); got != "1" {
		t.Errorf("forwarding is %s while sandboxes run", got)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if got := read(); got != "1" {
		t.Errorf("forwarding is %s while a sandbox runs", got)
	}
	strangers := len(traces(t, "fcd")) - len(traces(t, fmt.Sprintf("fcd%dx", os.Getpid())))
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if got := read(); got != before && strangers == 0 {
		t.Errorf("forwarding is %s afterwards, %s before", got, before)
	}
}

func TestIPv6AddressCannotBeAllowed(t *testing.T) {
	imagetest.NeedRoot(t)
	_, err := sandbox.Start(t.Context(), sandbox.Spec{Dir: t.TempDir(), Path: self(), Allow: []netip.AddrPort{netip.MustParseAddrPort("[fdaa::1]:5000")}})
	if err == nil || errors.Is(err, sandbox.ErrUnavailable) || !strings.Contains(err.Error(), "IPv4") {
		t.Errorf("err is %v", err)
	}
}

func TestEndedSandboxKeepsItsAddressUntilClose(t *testing.T) {
	first, _ := start(t, sandbox.Spec{}, "run")
	ends(t, first)
	second, _ := start(t, sandbox.Spec{}, "run")
	ends(t, second)
	if first.Resolver() == second.Resolver() {
		t.Errorf("both have %s", first.Resolver())
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	w := newWorld(t)
	text := finish(t, sandbox.Spec{}, "flows", netip.AddrPortFrom(w.far, w.serve()).String())
	if !strings.HasPrefix(text, "reached ") || strings.Count(text, "denied ") != 1 {
		t.Errorf("got:\n%s", text)
	}
}

// TestMachineIsNoRouterForOthers holds while it forwards for a sandbox, and so does that nobody outside reaches one.
func TestMachineIsNoRouterForOthers(t *testing.T) {
	one, two := newWorld(t), newWorld(t)
	one.routeBy(two.far)
	two.routeBy(one.far)
	port := two.serve()
	to := netip.AddrPortFrom(two.far, port).String()
	if err := one.dial(to); err == nil {
		t.Fatal("the machine forwards already")
	}
	set := func(value string) {
		for _, w := range []*world{one, two} {
			if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+w.link+"/forwarding", []byte(value), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := len(traces(t, "fcd"))
	set("1")
	err := one.dial(to)
	set("0")
	// a sandbox of another test program guards these links as well
	if err != nil && before+len(traces(t, "fcd")) == 0 {
		t.Fatal("not even a machine that forwards reaches it, so this test shows nothing:", err)
	}
	box, out := start(t, sandbox.Spec{}, "hear", "7777")
	inside := out.await(t, "hearing ") + ":7777"
	if err := one.dial(to); err == nil {
		t.Error("the machine forwards for others")
	}
	one.routeBy(netip.MustParseAddrPort(inside).Addr())
	one.inside(func() error { return say(inside, "outside") })
	if err := say(inside, "the machine"); err != nil {
		t.Fatal(err)
	}
	if got := out.await(t, "heard "); got != "the machine" {
		t.Errorf("the sandbox heard %q first", got)
	}
	if err := box.Err(); err != nil {
		t.Error(err)
	}
}

func say(to, what string) error {
	c, err := net.Dial("udp4", to)
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(what))
	return errors.Join(err, c.Close())
}
