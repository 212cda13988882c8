package sandbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Bounds of one sandbox's DNS: what is more waits or is dropped, as a busy server would do.
const (
	maxAsking     = 128
	maxClients    = 32
	clientIdle    = 10 * time.Second
	serverPatient = 3 * time.Second
	maxTCPMessage = 16 << 10
)

// relay answers the DNS questions of one sandbox, by asking the machine's own servers, which the sandbox cannot reach.
type relay struct {
	servers []netip.AddrPort
	allowed []netip.Addr

	udp     net.PacketConn
	tcp     net.Listener
	cancel  context.CancelFunc
	asking  chan struct{} // questions over UDP under way
	clients chan struct{} // connections over TCP
	running sync.WaitGroup
}

// listenRelay starts the relay of a sandbox at its end outside.
func listenRelay(s Spec, at netip.Addr) (*relay, error) {
	servers := s.Nameservers
	if len(servers) == 0 {
		text, err := os.ReadFile("/etc/resolv.conf")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("read nameservers: %w", err)
		}
		servers = parseNameservers(string(text))
	}
	r := &relay{servers: servers}
	for _, a := range s.Allow {
		r.allowed = append(r.allowed, a.Addr())
	}
	return r, r.listen(netip.AddrPortFrom(at, 53).String())
}

// listen serves at an address until close.
func (r *relay) listen(at string) error {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.asking, r.clients = cancel, make(chan struct{}, maxAsking), make(chan struct{}, maxClients)
	var err error
	early := net.ListenConfig{Control: freely}
	if r.udp, err = early.ListenPacket(ctx, "udp4", at); err != nil {
		return fmt.Errorf("listen for DNS: %w", err)
	}
	if r.tcp, err = early.Listen(ctx, "tcp4", r.udp.LocalAddr().String()); err != nil {
		return fmt.Errorf("listen for DNS: %w", err)
	}
	r.running.Go(func() { r.serveUDP(ctx) })
	r.running.Go(func() { r.serveTCP(ctx) })
	return nil
}

// close ends it and what it is asking; a relay that never was is fine.
func (r *relay) close() error {
	if r == nil {
		return nil
	}
	r.cancel()
	var errs []error
	if r.udp != nil {
		errs = append(errs, r.udp.Close())
	}
	if r.tcp != nil {
		errs = append(errs, r.tcp.Close())
	}
	r.running.Wait()
	return errors.Join(errs...)
}

func (r *relay) serveUDP(ctx context.Context) {
	buffer := make([]byte, maxAnswer)
	for {
		n, from, err := r.udp.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		message := append([]byte(nil), buffer[:n]...)
		select {
		case r.asking <- struct{}{}:
			r.running.Go(func() {
				defer func() { <-r.asking }()
				if answer := r.answer(ctx, message, question.fit); answer != nil {
					_, _ = r.udp.WriteTo(answer, from)
				}
			})
		default: // the asker asks again
		}
	}
}

func (r *relay) serveTCP(ctx context.Context) {
	for {
		conn, err := r.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		select {
		case r.clients <- struct{}{}:
			r.running.Go(func() {
				defer func() { <-r.clients }()
				r.serveClient(ctx, conn)
			})
		default:
			_ = conn.Close()
		}
	}
}

// serveClient answers the questions of one connection, one after the other.
func (r *relay) serveClient(ctx context.Context, conn net.Conn) {
	defer conn.Close() //nolint:errcheck // what was answered was answered
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	for conn.SetDeadline(time.Now().Add(clientIdle)) == nil {
		message, err := readTCP(conn)
		if err != nil {
			return
		}
		answer := r.answer(ctx, message, question.pack)
		if answer == nil || writeTCP(conn, answer) != nil {
			return
		}
	}
}

// answer gives the answer to one message, or nil for none; shape makes it fit.
func (r *relay) answer(ctx context.Context, message []byte, shape func(question, dnsmessage.Message) ([]byte, error)) []byte {
	q, err := parseQuestion(message)
	if err != nil {
		return nil
	}
	pass, code := q.judge()
	m := dnsmessage.Message{Header: dnsmessage.Header{RCode: code}}
	if pass {
		if m, err = r.ask(ctx, q); err != nil {
			m = dnsmessage.Message{Header: dnsmessage.Header{RCode: dnsmessage.RCodeServerFailure}}
		}
	}
	out, err := shape(q, m)
	if err != nil {
		return nil
	}
	return out
}

// ask asks the servers in their order until one answers.
func (r *relay) ask(ctx context.Context, q question) (m dnsmessage.Message, err error) {
	for _, server := range r.servers {
		for _, network := range []string{"udp", "tcp"} {
			m, err = r.askOne(ctx, q, network, server)
			if err != nil || !m.Truncated {
				break
			}
		}
		if err == nil && m.RCode != dnsmessage.RCodeServerFailure && m.RCode != dnsmessage.RCodeRefused {
			return m, nil
		}
	}
	return m, err
}

func (r *relay) askOne(ctx context.Context, q question, network string, server netip.AddrPort) (m dnsmessage.Message, err error) {
	ctx, cancel := context.WithTimeout(ctx, serverPatient)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, server.String())
	if err != nil {
		return m, fmt.Errorf("ask %s: %w", server, err)
	}
	defer conn.Close() //nolint:errcheck // it said what it said
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	id := uint16(rand.Uint32()) //nolint:gosec // the port of the connection is chosen anew for each question as well
	query, err := q.query(id)
	if err != nil {
		return m, fmt.Errorf("write question: %w", err)
	}
	if network == "tcp" {
		if err := writeTCP(conn, query); err != nil {
			return m, fmt.Errorf("ask %s: %w", server, err)
		}
		answer, err := readTCP(conn)
		if err != nil {
			return m, fmt.Errorf("hear from %s: %w", server, err)
		}
		return q.answerOf(answer, id, r.allowed)
	}
	if _, err := conn.Write(query); err != nil {
		return m, fmt.Errorf("ask %s: %w", server, err)
	}
	for buffer := make([]byte, maxTCPMessage); ; {
		n, err := conn.Read(buffer)
		if err != nil {
			return m, fmt.Errorf("hear from %s: %w", server, err)
		}
		// what answers something else is waited past: it may be forged
		if m, err := q.answerOf(buffer[:n], id, r.allowed); err == nil {
			return m, nil
		}
	}
}

// readTCP reads one message with its length before it.
func readTCP(from io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(from, length[:]); err != nil {
		return nil, err //nolint:wrapcheck // the caller says what failed
	}
	size := binary.BigEndian.Uint16(length[:])
	if size > maxTCPMessage {
		return nil, errors.New("message too long")
	}
	message := make([]byte, size)
	_, err := io.ReadFull(from, message)
	return message, err //nolint:wrapcheck // the caller says what failed
}

func writeTCP(to io.Writer, message []byte) error {
	if len(message) > 1<<16-1 {
		return errors.New("message too long")
	}
	_, err := to.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)) //nolint:gosec // checked
	return err                                                                                       //nolint:wrapcheck // the caller says what failed
}
