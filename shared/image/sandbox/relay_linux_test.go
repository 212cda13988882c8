package sandbox_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/gigurra/flycd/shared/image/sandbox"
)

// upstream is a DNS server on this machine's loopback that knows a few names, and over UDP only as much as fits.
type upstream struct {
	addr  netip.AddrPort
	asked atomic.Int64
}

// zone is what it knows, private addresses among it.
var zone = map[string][]string{
	"public.example.com.": {"198.51.100.7"}, "mixed.example.com.": {"10.0.0.1", "198.51.100.8"},
	"rebound.example.com.": {"169.254.169.254", "127.0.0.1"}, "allowed.example.com.": {"10.77.7.7"},
	"app.internal.": {"198.51.100.9"}, "redis.": {"198.51.100.9"}, "app.flycast.": {"198.51.100.9"},
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenPacket("udp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(); _ = c.Close() })
	u := &upstream{addr: netip.MustParseAddrPort(l.Addr().String())}
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(u.answer(b[:n], 1232), from)
		}
	}()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			var size uint16
			if binary.Read(conn, binary.BigEndian, &size) == nil {
				b := make([]byte, size)
				if _, err := io.ReadFull(conn, b); err == nil {
					out := u.answer(b, 1<<16-1)
					_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
				}
			}
			_ = conn.Close()
		}
	}()
	return u
}

func (u *upstream) answer(query []byte, room int) []byte {
	u.asked.Add(1)
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.Additionals = true, nil
	addrs, known := zone[q.Name.String()]
	if q.Name.String() == "large.example.com." {
		known = true
		for i := range 200 {
			addrs = append(addrs, fmt.Sprintf("198.51.100.%d", i))
		}
	}
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 60}
	for _, a := range addrs {
		if q.Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: netip.MustParseAddr(a).As4()}})
		}
		if q.Type == dnsmessage.TypeAAAA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("fdaa::9").As16()}})
		}
	}
	out, err := m.Pack()
	if err == nil && len(out) > room {
		m.Answers, m.Truncated = nil, true
		out, err = m.Pack()
	}
	if err != nil {
		return nil
	}
	return out
}

func TestNamesInsideArePublicOnes(t *testing.T) {
	u := newUpstream(t)
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := netip.MustParseAddrPort(silent.LocalAddr().String())
	_ = silent.Close()
	s := sandbox.Spec{Nameservers: []netip.AddrPort{dead, u.addr}, Allow: []netip.AddrPort{netip.MustParseAddrPort("10.77.7.7:5000")}}
	text := finish(t, s, "lookup", "public.example.com", "mixed.example.com", "rebound.example.com", "allowed.example.com",
		"app.internal", "redis", "app.flycast", "absent.example.com", "large.example.com", "localhost")
	for _, want := range []string{
		"public.example.com [198.51.100.7]\n", "mixed.example.com [198.51.100.8]\n", "rebound.example.com unknown\n", "allowed.example.com [10.77.7.7]\n",
		"app.internal unknown\n", "redis unknown\n", "app.flycast unknown\n", "absent.example.com unknown\n", "localhost [127.0.0.1]\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("want %q in:\n%s", want, text)
		}
	}
	if got := strings.Count(text, "198.51.100."); got != 202 {
		t.Errorf("%d addresses came, want 202:\n%s", got, text)
	}
}

func TestPrivateNamesAreNotAskedOutside(t *testing.T) {
	u := newUpstream(t)
	text := finish(t, sandbox.Spec{Nameservers: []netip.AddrPort{u.addr}}, "lookup", "app.internal", "_api.internal", "redis", "app.flycast")
	if got := u.asked.Load(); got != 0 || strings.Count(text, "unknown") != 4 {
		t.Errorf("the server was asked %d times:\n%s", got, text)
	}
}

func TestSilentServerIsAnError(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(l.Addr().String())
	_ = l.Close()
	text := finish(t, sandbox.Spec{Nameservers: []netip.AddrPort{addr}}, "lookup", "public.example.com")
	if !strings.Contains(text, "public.example.com error") {
		t.Errorf("got %s", text)
	}
}
