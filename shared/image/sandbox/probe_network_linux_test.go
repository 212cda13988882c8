package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func probeDial(args []string) error {
	for _, a := range args {
		network, address, _ := strings.Cut(a, "/")
		conn, err := net.DialTimeout(network, address, 2*time.Second)
		if err == nil {
			_ = conn.Close()
			fmt.Println("reached", a)
			continue
		}
		fmt.Println("denied", a, err)
	}
	return nil
}

func probeGet(args []string) error {
	c := http.Client{Timeout: 5 * time.Second}
	res, err := c.Get(args[0])
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(os.Stdout, res.Body)
	return err
}

func probeListen(args []string) error {
	l, err := net.Listen("tcp", ":"+args[0])
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		ip := a.(*net.IPNet).IP
		c, err := net.Dial("tcp", net.JoinHostPort(ip.String(), args[0]))
		if err != nil {
			return err
		}
		_ = c.Close()
		if !ip.IsLoopback() {
			fmt.Println("listening", ip)
		}
	}
	return probeWait(nil)
}

func probeSpoof(args []string) error {
	host, port, _ := net.SplitHostPort(args[0])
	number, _ := strconv.Atoi(port)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	payload := []byte("forged")
	packet := make([]byte, 28, 64)
	packet[0], packet[8], packet[9] = 0x45, 64, unix.IPPROTO_UDP
	packet[3] = byte(28 + len(payload))
	copy(packet[12:], net.ParseIP("198.51.100.99").To4())
	copy(packet[16:], net.ParseIP(host).To4())
	packet[20], packet[21] = 0x30, 0x39
	packet[22], packet[23] = byte(number>>8), byte(number)
	packet[25] = byte(8 + len(payload))
	to := &unix.SockaddrInet4{}
	copy(to.Addr[:], net.ParseIP(host).To4())
	if err := unix.Sendto(fd, append(packet, payload...), 0, to); err != nil {
		return fmt.Errorf("send forged: %w", err)
	}
	c, err := net.Dial("udp", args[0])
	if err != nil {
		return err
	}
	_, err = c.Write([]byte("honest"))
	return err
}

func probeLookup(args []string) error {
	for _, name := range args {
		ips, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", name)
		var dns *net.DNSError
		switch {
		case errors.As(err, &dns) && dns.IsNotFound:
			fmt.Println(name, "unknown")
		case err != nil:
			fmt.Println(name, "error", err)
		default:
			for i := range ips {
				ips[i] = ips[i].Unmap()
			}
			fmt.Println(name, ips)
		}
	}
	return nil
}

func probeNetwork([]string) error {
	links, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, l := range links {
		addrs, err := l.Addrs()
		if err != nil {
			return err
		}
		fmt.Println(l.Name, l.MTU, addrs)
	}
	return nil
}

func probeAbstract(args []string) error {
	_, err := net.Dial("unix", args[0])
	fmt.Println("dial:", err)
	return nil
}

func probeFlows(args []string) error {
	host, _, _ := net.SplitHostPort(args[0])
	if err := probeDial([]string{"tcp/" + args[0]}); err != nil {
		return err
	}
	c, err := net.ListenPacket("udp4", ":0")
	if err != nil {
		return err
	}
	for port := 10000; port < 19000; port++ {
		if _, err := c.WriteTo([]byte("x"), &net.UDPAddr{IP: net.ParseIP(host), Port: port}); err != nil {
			return err
		}
	}
	return probeDial([]string{"tcp/" + args[0]})
}

func probeHear(args []string) error {
	c, err := net.ListenPacket("udp4", ":"+args[0])
	if err != nil {
		return err
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if ip := a.(*net.IPNet).IP; !ip.IsLoopback() {
			fmt.Println("hearing", ip)
		}
	}
	for b := make([]byte, 100); ; {
		n, _, err := c.ReadFrom(b)
		if err != nil {
			return err
		}
		fmt.Println("heard", string(b[:n]))
	}
}
