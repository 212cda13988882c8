package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const benchSecret = "bench-secret"

// load is a number of connections that each send one request after the other.
type load struct {
	addr        string
	connections int
	// requests are whole: head and body, signed.
	requests [][]byte

	conns []net.Conn
}

// warm opens the connections and sends a health check over each: what is measured is not the dialling.
func (l *load) warm(b *testing.B) {
	b.Helper()
	buf := make([]byte, 4096)
	for range l.connections {
		conn, err := net.Dial("tcp", l.addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		if err := exchange(conn, []byte("GET /healthz HTTP/1.1\r\nHost: flycd\r\n\r\n"), buf, "200"); err != nil {
			b.Fatal(err)
		}
		l.conns = append(l.conns, conn)
	}
}

// run sends all requests, in their order, and gives the sorted times from the first byte out to the last byte in.
func (l *load) run(b *testing.B) []time.Duration {
	b.Helper()
	took := make([]time.Duration, len(l.requests))
	var next atomic.Int64
	var all sync.WaitGroup
	for _, conn := range l.conns {
		all.Go(func() {
			buf := make([]byte, 4096)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(l.requests) {
					return
				}
				began := time.Now()
				if err := roundTrip(conn, l.requests[i], buf); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(began)
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return took
}

// roundTrip sends one push and reads its 202.
func roundTrip(conn net.Conn, request, buf []byte) error { return exchange(conn, request, buf, "202") }

// exchange reads no more of the answer than its status and its end.
func exchange(conn net.Conn, request, buf []byte, status string) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	for n := 0; n < len(buf); {
		m, err := conn.Read(buf[n:])
		if err != nil {
			return err
		}
		n += m
		head, body, ok := bytes.Cut(buf[:n], []byte("\r\n\r\n"))
		if !ok {
			continue
		}
		_, size, _ := bytes.Cut(head, []byte("\r\nContent-Length: "))
		size, _, _ = bytes.Cut(size, []byte("\r\n"))
		length, err := strconv.Atoi(string(size))
		if err != nil {
			return fmt.Errorf("an answer without a length: %s", head)
		}
		if len(body) < length {
			continue
		}
		if got := string(head[9:12]); got != status {
			return fmt.Errorf("answered %s: %s", got, body)
		}
		return nil
	}
	return fmt.Errorf("an answer longer than %d bytes", len(buf))
}

// pushes makes bodies of the size that GitHub sends.
type pushes struct {
	parts []string
}

// newPushes makes a form of a push that GitHub has sent, with holes for what differs.
func newPushes(b *testing.B) pushes {
	b.Helper()
	raw, err := os.ReadFile("../../dispatcher/testdata/github/push.branch.json")
	if err != nil {
		b.Fatal(err)
	}
	var body bytes.Buffer
	if err := json.Compact(&body, raw); err != nil {
		b.Fatal(err)
	}
	var said struct{ Before, After string }
	if err := json.Unmarshal(raw, &said); err != nil {
		b.Fatal(err)
	}
	form := body.String()
	for _, hole := range [][2]string{
		{"Codertocat/Hello-World", "acme/\x00app\x00"},
		{said.Before, "\x00before\x00"},
		{said.After, "\x00after\x00"},
		{`"pushed_at":1557933657`, "\"pushed_at\":\x00time\x00"},
	} {
		if !strings.Contains(form, hole[0]) {
			b.Fatalf("the form of a push holds no %s", hole[0])
		}
		form = strings.ReplaceAll(form, hole[0], hole[1])
	}
	return pushes{parts: strings.Split(form, "\x00")}
}

// body gives the i-th push of an app. No two are the same.
func (p pushes) body(i, app int) []byte {
	out := make([]byte, 0, 8192)
	for _, part := range p.parts {
		switch part {
		case "app":
			out = fmt.Appendf(out, "code-%d", app)
		case "before":
			out = fmt.Appendf(out, "%040x", i)
		case "after":
			out = fmt.Appendf(out, "%040x", i+1)
		case "time":
			out = fmt.Appendf(out, "%d", firstPush+i)
		default:
			out = append(out, part...)
		}
	}
	return out
}

// firstPush is the forge's time of the first push, in seconds.
const firstPush = 1_800_000_000

// request gives a push as it goes over the wire.
func request(i int, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(benchSecret))
	mac.Write(body)
	head := fmt.Sprintf("POST /webhook HTTP/1.1\r\nHost: flycd.example.com\r\nUser-Agent: GitHub-Hookshot/044aadd\r\nAccept: */*\r\n"+
		"Content-Type: application/json\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: 72d3162e-cc78-11e3-81ab-%012x\r\n"+
		"X-Hub-Signature-256: sha256=%s\r\nContent-Length: %d\r\n\r\n", i, hex.EncodeToString(mac.Sum(nil)), len(body))
	return append([]byte(head), body...)
}
