package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
)

var errRedirects = fmt.Errorf("it redirects more than %d times", mostRedirects)

// explain makes a sentence of what stopped a question. It repeats no URL, for a redirect may name a secret one.
func explain(err error) error {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.Is(err, errRedirects):
		return errRedirects
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return fmt.Errorf("there is no DNS record for %s", dns.Name)
		}
		return fmt.Errorf("its name cannot be looked up in DNS now (%s)", dns.Name)
	case errors.As(err, &cert):
		return fmt.Errorf("its certificate is not good: %w", cert.Err)
	case errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch):
		return errors.New("it does not speak TLS on that port")
	case errors.As(err, &alert):
		return fmt.Errorf("TLS was refused: %w", alert)
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("the connection is refused: nothing listens there")
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it closes the connection without an answer")
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("it does not answer in time")
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return errors.New("it does not answer in time")
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return fmt.Errorf("it cannot be reached: %w", op.Err)
	}
	return errors.New("it gives no answer that is HTTP")
}

// shown is a URL without what may be secret in it.
func shown(u *url.URL) string {
	plain := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if u.RawQuery != "" {
		plain.RawQuery = "…"
	}
	return plain.String()
}
