package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// fetchTime bounds what an issuer is asked for at once.
	fetchTime = 10 * time.Second
	// fetchPause is how long an issuer is not asked again, and failedPause how long where it gave nothing.
	fetchPause, failedPause = 10 * time.Second, time.Second
	// maxDocument bounds an answer: GitHub's keys have 5 kB.
	maxDocument = 1 << 20
)

// careful is a client that follows no redirects.
func careful(base *http.Client) *http.Client {
	client := http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 5 * time.Second, ForceAttemptHTTP2: true}}
	if base != nil {
		client = *base
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// fetchKeys gives the keys that an issuer signs with, from where its own document says.
func fetchKeys(ctx context.Context, client *http.Client, issuer string) (keys, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := fetch(ctx, client, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &document); err != nil {
		return nil, fmt.Errorf("read what %s says of itself: %w", issuer, err)
	}
	if document.Issuer != issuer {
		return nil, fmt.Errorf("read what %s says of itself: it says that it is %q", issuer, document.Issuer)
	}
	var set keySet
	if err := fetch(ctx, client, document.Keys, &set); err != nil {
		return nil, fmt.Errorf("fetch the keys of %s: %w", issuer, err)
	}
	return set.keys(), nil
}

// fetch reads a document of an issuer: over https or on this host, and bounded.
func fetch(ctx context.Context, client *http.Client, address string, into any) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && (u.Scheme != "http" || !onThisHost(u.Hostname())) {
		return fmt.Errorf("%q is not asked: keys are fetched over https alone", address)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answered %d", u.Host, resp.StatusCode)
	case err != nil:
		return err
	case len(body) > maxDocument:
		return fmt.Errorf("%s answered with more than %d bytes", u.Host, maxDocument)
	case json.Unmarshal(body, into) != nil:
		return fmt.Errorf("%s answered with what is no JSON of the form that is expected", u.Host)
	}
	return nil
}

func onThisHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
