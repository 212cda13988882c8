package forge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// noticeTime bounds one notice, from the name's lookup to the answer.
const noticeTime = 10 * time.Second

// guarded is a client for addresses that people enter: it connects to public addresses alone, and to those that are
// allowed, judged when the connection is made, after the name was looked up. It follows no redirect and knows no proxy.
func guarded(allow []netip.AddrPort) *http.Client {
	guard := ssrf.New(ssrf.WithAnyPort())
	dialer := &net.Dialer{
		Timeout: noticeTime,
		Control: func(network, address string, conn syscall.RawConn) error {
			if to, err := netip.ParseAddrPort(address); err == nil && slices.Contains(allow, netip.AddrPortFrom(to.Addr().Unmap(), to.Port())) {
				return nil
			}
			return guard.Safe(network, address, conn)
		},
	}
	return &http.Client{
		Timeout:       noticeTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: noticeTime, ResponseHeaderTimeout: noticeTime,
			MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true, ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		},
	}
}

// trouble says why an address was not reached, without a word of the address.
func trouble(err error) string {
	var dns *net.DNSError
	var tlsError *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	var timeout net.Error
	switch {
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedNetwork):
		return "its address is a private one: only public addresses are sent to"
	case errors.As(err, &dns):
		return "its host's name is not known"
	case errors.As(err, &tlsError), errors.As(err, &record), errors.As(err, &unknown):
		return "its TLS certificate is not valid"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at its address"
	case errors.Is(err, context.Canceled):
		return "the sender was stopped"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "it did not answer in time"
	default:
		return "the connection broke"
	}
}
