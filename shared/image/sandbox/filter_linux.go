package sandbox

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// maxConnections is how many connections a sandbox may have open through the machine, whose table of them is
// bounded and its own too.
const maxConnections = 8192

// filter writes the table of one sandbox. A table of its own per sandbox never touches another's rules, and goes
// in one step. Each of its chains lets pass what is not the sandbox's.
type filter struct {
	network
	// guarded are interfaces that forward only because of sandboxes: nobody else's packets are forwarded there.
	guarded []string

	conn   *nftables.Conn
	table  *nftables.Table
	refuse *nftables.Chain
}

// up installs the table, all of it or nothing.
func (f filter) up() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("%w: open netfilter: %w", ErrUnavailable, err)
	}
	f.conn = conn
	f.table = conn.AddTable(&nftables.Table{Name: f.name, Family: nftables.TableFamilyINet})
	f.refuse = conn.AddChain(&nftables.Chain{Name: "refuse", Table: f.table})
	f.rule(f.refuse, protocol(unix.IPPROTO_TCP), &expr.Reject{Type: unix.NFT_REJECT_TCP_RST})
	f.rule(f.refuse, &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED})
	f.forward()
	f.input()
	f.nat()
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("%w: write nftables rules (the kernel needs nf_tables with inet, nat, masquerade, reject and ct count): %w",
			ErrUnavailable, err)
	}
	return nil
}

// forward judges what passes through the machine.
func (f filter) forward() {
	leave := f.conn.AddChain(&nftables.Chain{Name: "leave", Table: f.table})
	enter := f.conn.AddChain(&nftables.Chain{Name: "enter", Table: f.table})
	through := f.base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward)
	f.rule(through, from(f.name), jump(leave))
	f.rule(through, to(f.name), jump(enter))
	for _, link := range f.guarded {
		f.rule(through, from(link), &expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte(prefix)}, verdict(expr.VerdictDrop))
	}
	f.rule(enter, state(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), verdict(expr.VerdictAccept))
	f.rule(enter, verdict(expr.VerdictDrop))
	f.ownOnly(leave)
	f.rule(leave, state(expr.CtStateBitESTABLISHED), verdict(expr.VerdictAccept))
	f.allowed(leave)
	for _, p := range unreachable {
		f.rule(leave, destination(p), goTo(f.refuse))
	}
	f.rule(leave, state(expr.CtStateBitINVALID), verdict(expr.VerdictDrop))
	f.rule(leave, &expr.Connlimit{Count: maxConnections, Flags: 0}, verdict(expr.VerdictAccept))
	f.rule(leave, goTo(f.refuse))
}

// input judges what is for the machine itself: the DNS relay, what is allowed, and nothing else.
func (f filter) input() {
	own := f.conn.AddChain(&nftables.Chain{Name: "own", Table: f.table})
	in := f.base("input", nftables.ChainTypeFilter, nftables.ChainHookInput)
	f.rule(in, from(f.name), jump(own))
	f.ownOnly(own)
	for _, proto := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		f.rule(own, destination(netip.PrefixFrom(f.host, 32)), protocol(proto), port(53), verdict(expr.VerdictAccept))
	}
	f.allowed(own)
	f.rule(own, goTo(f.refuse))
}

// nat lends the machine's address to what leaves.
func (f filter) nat() {
	post := f.base("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting)
	f.rule(post, ipv4(expr.CmpOpEq), source(expr.CmpOpEq, f.guest), &expr.Masq{})
}

// ownOnly drops what is not IPv4 from the address that the sandbox was given.
func (f filter) ownOnly(c *nftables.Chain) {
	f.rule(c, ipv4(expr.CmpOpNeq), verdict(expr.VerdictDrop))
	f.rule(c, source(expr.CmpOpNeq, f.guest), verdict(expr.VerdictDrop))
}

func (f filter) allowed(c *nftables.Chain) {
	for _, a := range f.allow {
		f.rule(c, destination(netip.PrefixFrom(a.Addr(), 32)), protocol(unix.IPPROTO_TCP), port(a.Port()), verdict(expr.VerdictAccept))
	}
}

func (f filter) base(name string, t nftables.ChainType, hook *nftables.ChainHook) *nftables.Chain {
	accept := nftables.ChainPolicyAccept
	priority := nftables.ChainPriorityFilter
	if t == nftables.ChainTypeNAT {
		priority = nftables.ChainPriorityNATSource
	}
	return f.conn.AddChain(&nftables.Chain{Name: name, Table: f.table, Type: t, Hooknum: hook, Priority: priority, Policy: &accept})
}

// rule adds one to a chain; its parts are expressions and lists of them.
func (f filter) rule(c *nftables.Chain, parts ...any) {
	var exprs []expr.Any
	for _, p := range parts {
		switch p := p.(type) {
		case []expr.Any:
			exprs = append(exprs, p...)
		case expr.Any:
			exprs = append(exprs, p)
		}
	}
	f.conn.AddRule(&nftables.Rule{Table: f.table, Chain: c, Exprs: exprs})
}

// removeTable removes a sandbox's table; one that is not there is fine.
func removeTable(name string) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open netfilter: %w", err)
	}
	conn.DelTable(&nftables.Table{Name: name, Family: nftables.TableFamilyINet})
	if err := conn.Flush(); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("remove nftables table %s: %w", name, err)
	}
	return nil
}

func ipv4(op expr.CmpOp) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: op, Register: 1, Data: []byte{unix.NFPROTO_IPV4}},
	}
}

func from(link string) []expr.Any { return onLink(expr.MetaKeyIIFNAME, link) }

func to(link string) []expr.Any { return onLink(expr.MetaKeyOIFNAME, link) }

func onLink(key expr.MetaKey, link string) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, link)
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name}}
}

func source(op expr.CmpOp, a netip.Addr) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4},
		&expr.Cmp{Op: op, Register: 1, Data: a.AsSlice()},
	}
}

// destination matches an IPv4 packet to somewhere in p.
func destination(p netip.Prefix) []expr.Any {
	mask := ipNet(p.Addr(), p.Bits()).Mask
	return append(ipv4(expr.CmpOpEq),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Masked().Addr().AsSlice()})
}

func protocol(p byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{p}},
	}
}

// port matches the destination port of TCP and UDP.
func port(p uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(p)},
	}
}

func state(bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

func verdict(k expr.VerdictKind) *expr.Verdict { return &expr.Verdict{Kind: k} }

func jump(c *nftables.Chain) *expr.Verdict {
	return &expr.Verdict{Kind: expr.VerdictJump, Chain: c.Name}
}

func goTo(c *nftables.Chain) *expr.Verdict {
	return &expr.Verdict{Kind: expr.VerdictGoto, Chain: c.Name}
}
