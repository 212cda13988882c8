package sandbox

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestOnlyPublicNamesArePassedOn(t *testing.T) {
	for name, want := range map[string]bool{
		"example.com.": true, "registry.fly.io.": true, "EXAMPLE.com": true, "xn--bcher-kva.example.": true, "a.b.c.d.e.org.": true,
		"internal.example.com.": true, "notinternal.": false, "mylocal.dev.": true, "4.3.2.8.in-addr.arpa.": true,
		"": false, ".": false, "registry.": false, "localhost.": false, "redis": false,
		"app.internal.": false, "top1.nearest.of.app.INTERNAL.": false, "internal.": false, "app.flycast.": false, "printer.local.": false,
		"_api.internal.": false, "a.svc.cluster.local.": false, "x.localhost.": false, "nas.lan.": false, "x.home.arpa.": false, "db.corp.": false,
		"1.0.0.10.in-addr.arpa.": false, "254.169.254.169.in-addr.arpa.": false, "1.18.198.in-addr.arpa.": false, "a.b.in-addr.arpa.": false,
		"1.0.0.0.a.a.d.f.ip6.arpa.": false, "x.onion.": false, "db.service.consul.": false,
	} {
		if got := publicName(name); got != want {
			t.Errorf("%q is public: %v, want %v", name, got, want)
		}
	}
}

func TestPublicAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "203.0.113.5": true, "172.15.255.255": true, "172.32.0.0": true, "100.63.255.255": true,
		"100.128.0.0": true, "198.17.255.255": true, "198.20.0.0": true, "223.255.255.255": true, "192.0.1.1": true,
		"0.0.0.0": false, "10.0.0.0": false, "10.255.255.255": false, "100.64.0.0": false, "100.127.255.255": false, "127.0.0.1": false,
		"127.255.255.255": false, "169.254.169.254": false, "172.16.0.0": false, "172.31.255.255": false, "192.168.1.1": false,
		"198.18.0.1": false, "198.19.255.255": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false, "192.0.0.170": false,
		"168.63.129.16": false, "::ffff:10.0.0.1": false, "::ffff:1.1.1.1": true, "::1": false, "fdaa::3": false, "2001:4860:4860::8888": false,
	} {
		if got := public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is public: %v, want %v", text, got, want)
		}
	}
}

func TestFreeSubnetTouchesNothing(t *testing.T) {
	prefix := netip.MustParsePrefix
	for _, c := range []struct {
		taken []netip.Prefix
		start int
		want  string
	}{
		{nil, 0, "198.18.0.0/30"},
		{nil, 5, "198.18.0.20/30"},
		{nil, 1<<15 - 1, "198.19.255.252/30"},
		{nil, 1 << 15, "198.18.0.0/30"},
		{[]netip.Prefix{prefix("0.0.0.0/0"), prefix("10.0.0.0/8")}, 0, "198.18.0.0/30"},
		{[]netip.Prefix{prefix("198.18.0.0/30"), prefix("198.18.0.4/32")}, 0, "198.18.0.8/30"},
		{[]netip.Prefix{prefix("198.18.0.0/16")}, 7, "198.19.0.0/30"},
		{[]netip.Prefix{prefix("198.19.0.0/16")}, 1 << 14, "198.18.0.0/30"},
	} {
		got, ok := freeSubnet(c.taken, c.start)
		if !ok || got.String() != c.want {
			t.Errorf("free of %v from %d is %s (%v), want %s", c.taken, c.start, got, ok, c.want)
		}
	}
	if got, ok := freeSubnet([]netip.Prefix{pool}, 3); ok {
		t.Errorf("%s of a full pool", got)
	}
}

func TestNameservers(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "127.0.0.1:53",
		"search a b\nnameserver\n# x\n": "127.0.0.1:53",
		"nameserver fdaa::3\n":          "[fdaa::3]:53",
		"options x\n  nameserver 10.0.0.2 \nnameserver 127.0.0.53\nnameserver nonsense": "10.0.0.2:53 127.0.0.53:53",
	} {
		var got []string
		for _, s := range parseNameservers(text) {
			got = append(got, s.String())
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("servers of %q are %s, want %s", text, got, want)
		}
	}
}

// ask is a question as a program inside sends it.
func ask(tb testing.TB, name string, kind dnsmessage.Type, room int) []byte {
	tb.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	if room > 0 {
		var h dnsmessage.ResourceHeader
		if err := h.SetEDNS0(room, 0, false); err != nil {
			tb.Fatal(err)
		}
		m.Additionals = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.OPTResource{}}}
	}
	b, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestRoomForAnAnswerIsTheAskers(t *testing.T) {
	for room, want := range map[int]int{0: 512, 100: 512, 900: 900, 1232: 1232, 65000: 1232} {
		q, err := parseQuestion(ask(t, "example.com.", dnsmessage.TypeA, room))
		if err != nil || q.room != want {
			t.Errorf("room of %d is %d (%v), want %d", room, q.room, err, want)
		}
	}
}

func FuzzQuestionFromInside(f *testing.F) {
	f.Add(ask(f, "example.com.", dnsmessage.TypeA, 4096))
	f.Add(ask(f, "app.internal.", dnsmessage.TypeAAAA, 0))
	f.Add(ask(f, "4.3.2.8.in-addr.arpa.", dnsmessage.TypePTR, 100))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, message []byte) {
		q, err := parseQuestion(message)
		if err != nil {
			return
		}
		pass, code := q.judge()
		if pass && !publicName(q.asked.Name.String()) {
			t.Errorf("%s is passed on", q.asked.Name)
		}
		if pass {
			out, err := q.query(9)
			var m dnsmessage.Message
			if err != nil || m.Unpack(out) != nil || len(m.Questions) != 1 || m.Questions[0] != q.asked || m.ID != 9 {
				t.Errorf("query of %v is %v (%v)", q.asked, m, err)
			}
			return
		}
		own, err := q.fit(dnsmessage.Message{Header: dnsmessage.Header{RCode: code}})
		var m dnsmessage.Message
		if err != nil || m.Unpack(own) != nil || !m.Response || m.ID != q.id || m.RCode != code || len(own) > q.room {
			t.Errorf("answer to %v is %v (%v)", q.asked, m, err)
		}
	})
}

func FuzzAnswerOfServer(f *testing.F) {
	question, err := parseQuestion(ask(f, "example.com.", dnsmessage.TypeA, 4096))
	if err != nil {
		f.Fatal(err)
	}
	name := dnsmessage.MustNewName("example.com.")
	a := func(a, b, c, d byte) dnsmessage.Resource {
		return dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: 60},
			Body:   &dnsmessage.AResource{A: [4]byte{a, b, c, d}},
		}
	}
	seed := dnsmessage.Message{
		Header:      dnsmessage.Header{ID: 9, Response: true},
		Questions:   []dnsmessage.Question{question.asked},
		Answers:     []dnsmessage.Resource{a(8, 8, 8, 8), a(10, 0, 0, 1), a(10, 0, 0, 2)},
		Additionals: []dnsmessage.Resource{a(127, 0, 0, 1), {Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET}, Body: &dnsmessage.AAAAResource{}}},
	}
	packed, err := seed.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add([]byte{0, 9, 0x80})
	allowed := []netip.Addr{netip.MustParseAddr("10.0.0.2")}
	f.Fuzz(func(t *testing.T, message []byte) {
		m, err := question.answerOf(message, 9, allowed)
		if err != nil {
			return
		}
		out, err := question.fit(m)
		if err != nil {
			return // the asker hears nothing and asks again
		}
		if len(out) > question.room {
			t.Errorf("%d bytes for %d", len(out), question.room)
		}
		var got dnsmessage.Message
		if err := got.Unpack(out); err != nil || got.ID != 7 || !got.Response {
			t.Errorf("answer is %v (%v)", got, err)
		}
		for _, r := range slices.Concat(got.Answers, got.Authorities, got.Additionals) {
			switch body := r.Body.(type) {
			case *dnsmessage.AResource:
				if a := netip.AddrFrom4(body.A); !public(a) && !slices.Contains(allowed, a) {
					t.Errorf("%s comes inside", a)
				}
			case *dnsmessage.AAAAResource:
				t.Error("an IPv6 address comes inside")
			}
		}
	})
}
