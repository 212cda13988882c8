package sandbox

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// forwardFile is the switch that makes one interface forward IPv4 packets that arrive at it.
func forwardFile(link string) string { return "/proc/sys/net/ipv4/conf/" + link + "/forwarding" }

// forwards tells whether an interface forwards.
func forwards(link string) bool {
	text, err := os.ReadFile(forwardFile(link))
	return err == nil && strings.TrimSpace(string(text)) == "1"
}

// guarded lists the interfaces that forward, or will, only because of sandboxes.
func (l *ledger) guarded(links []string) []string {
	all := slices.Clone(l.Forwarding)
	for _, link := range links {
		if !forwards(link) && !slices.Contains(all, link) {
			all = append(all, link)
		}
	}
	return all
}

// forward makes those of links forward that do not, and notes them first.
func (l *ledger) forward(links []string) error {
	for _, link := range links {
		if forwards(link) {
			continue
		}
		if err := l.noteForwarding(link); err != nil {
			return err
		}
		// a link may have gone since it was found, and then nothing comes by it
		if err := os.WriteFile(forwardFile(link), []byte("1"), 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("forward from %s: %w", link, err)
		}
	}
	return nil
}

// restore gives back the forwarding that sandboxes switched on, where somebody else has not switched it on for the
// whole machine since.
func (l *ledger) restore() error {
	if len(l.Forwarding) == 0 {
		return nil
	}
	whole, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	if err != nil {
		return fmt.Errorf("read ip_forward: %w", err)
	}
	for _, link := range l.Forwarding {
		if strings.TrimSpace(string(whole)) == "1" || !forwards(link) {
			continue
		}
		if err := os.WriteFile(forwardFile(link), []byte("0"), 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("stop forwarding from %s: %w", link, err)
		}
	}
	l.Forwarding = nil
	return l.write()
}
