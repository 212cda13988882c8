package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// MachineSocket is where a Fly machine finds the API that knows it.
const MachineSocket = "/.fly/api"

// MachineToken gets a token that says which machine this is, for the audience. The socket is MachineSocket where it
// is empty. Where there is no such socket, this is no Fly machine: errors.Is(err, fs.ErrNotExist). It is safe to
// repeat, and bounded by ctx and ten seconds.
func MachineToken(ctx context.Context, socket, audience string) (string, error) {
	if socket == "" {
		socket = MachineSocket
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", socket)
		},
	}
	body, err := json.Marshal(map[string]string{"aud": audience})
	if err != nil {
		return "", fmt.Errorf("get the machine's identity: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/v1/tokens/oidc", bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("get the machine's identity: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", fmt.Errorf("get the machine's identity: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	said, err := io.ReadAll(io.LimitReader(resp.Body, maxToken+1))
	token := strings.TrimSpace(string(said))
	switch {
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("get the machine's identity: %s answered %d", socket, resp.StatusCode)
	case err != nil:
		return "", fmt.Errorf("get the machine's identity: %w", err)
	case len(token) > maxToken || strings.Count(token, ".") != 2:
		return "", errors.New("get the machine's identity: the answer is no token")
	}
	return token, nil
}
