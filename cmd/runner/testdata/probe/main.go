// Command probe is what hostile steps of the tests' Dockerfiles run. Run by the test itself, outside of any sandbox, it
// finds and reaches everything: that is how the tests know that it looks.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(verb string, args []string) error {
	switch verb {
	case "hunt": // NEEDLES DIR…: what is in sight of the values of a file, which are written in hex
		return hunt(args[0], args[1:])
	case "dial": // ADDRESSES: which of a file's addresses answer
		return dial(args[0])
	case "listen": // PORT: answers there, on all addresses, and prints the one that others would call
		return listen(args[0])
	}
	return fmt.Errorf("no verb %q", verb)
}

// hunter looks for values.
type hunter struct {
	needles [][]byte
	looked  int
}

func hunt(file string, dirs []string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	h := &hunter{}
	for word := range strings.FieldsSeq(string(text)) {
		needle, err := hex.DecodeString(word)
		if err != nil {
			return err
		}
		h.needles = append(h.needles, needle)
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	for _, p := range processes {
		for _, pattern := range []string{"environ", "cmdline", "task/*/environ", "fd/*"} {
			files, _ := filepath.Glob(filepath.Join(p, pattern))
			for _, f := range files {
				h.read(f)
			}
		}
		for _, dir := range dirs {
			if dir != "/" {
				h.walk(filepath.Join(p, "root", dir) + "/")
			}
		}
	}
	for _, dir := range dirs {
		h.walk(dir)
	}
	fmt.Println("looked at", h.looked, "files and", len(processes), "processes")
	return nil
}

// walk reads all files below a folder, but for the kernel's.
func (h *hunter) walk(dir string) {
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil
		case d.IsDir() && (name == "/proc" || name == "/sys" || name == "/dev") || dir == "/" && d.IsDir() && name == "/usr":
			return fs.SkipDir
		case d.Type().IsRegular():
			h.read(name)
		}
		return nil
	})
}

func (h *hunter) read(name string) {
	kernels := strings.HasPrefix(name, "/proc/") && (strings.HasSuffix(name, "/environ") || strings.HasSuffix(name, "/cmdline"))
	// what has no size may never end
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() || !kernels && (info.Size() == 0 || info.Size() > 1<<20) {
		return
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return
	}
	h.looked++
	for i, needle := range h.needles {
		if bytes.Contains(text, needle) {
			fmt.Printf("found %d in %s\n", i, name)
		}
	}
}

func dial(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		network, address, _ := strings.Cut(s.Text(), " ")
		address = strings.ReplaceAll(address, "GATEWAY", gateway())
		conn, err := net.DialTimeout(network, address, 2*time.Second)
		if err != nil {
			fmt.Println("denied", s.Text(), err)
			continue
		}
		_ = conn.Close()
		fmt.Println("reached", s.Text())
	}
	return nil
}

// gateway is where the default route leads to: in a sandbox, the machine itself.
func gateway() string {
	text, _ := os.ReadFile("/proc/net/route")
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[1] != "00000000" {
			continue
		}
		if b, err := hex.DecodeString(f[2]); err == nil && len(b) == 4 {
			return netip.AddrFrom4([4]byte(binary.NativeEndian.AppendUint32(nil, binary.BigEndian.Uint32(b)))).String()
		}
	}
	return "no-gateway"
}

func listen(port string) error {
	l, err := net.Listen("tcp4", ":"+port)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		ip := a.(*net.IPNet).IP
		if ip.IsLoopback() || ip.To4() == nil {
			continue
		}
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(ip.String(), port), 2*time.Second)
		if err != nil {
			return err
		}
		_ = conn.Close()
		fmt.Println(net.JoinHostPort(ip.String(), port))
	}
	time.Sleep(time.Hour)
	return nil
}
