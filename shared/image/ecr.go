package image

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// ecrHost is the name of a private registry of Amazon's: https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html,
// with -fips and China's own domain.
var ecrHost = regexp.MustCompile(`^[0-9]{12}\.dkr\.ecr(-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?)$`)

// ecrRegion is where passwords of a registry are given out.
type ecrRegion struct{ endpoint, region string }

func ecrOf(host string) (ecrRegion, bool) {
	m := ecrHost.FindStringSubmatch(host)
	if m == nil {
		return ecrRegion{}, false
	}
	// https://docs.aws.amazon.com/general/latest/gr/ecr.html
	service := "api.ecr."
	if m[1] != "" {
		service = "ecr-fips."
	}
	return ecrRegion{endpoint: service + m[2] + "." + m[3], region: m[2]}, true
}

const exchangeWithin = 30 * time.Second

// exchange gets a password for an access key of AWS:
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html.
func exchange(ctx context.Context, l Login, at ecrRegion, via http.RoundTripper) (Login, error) {
	body := []byte("{}")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+at.endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return Login{}, fmt.Errorf("exchange AWS access key: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
	secret, session, _ := strings.Cut(l.Password.Reveal(), ":")
	if session != "" {
		req.Header.Set("X-Amz-Security-Token", session)
	}
	signing{id: l.Username, secret: secret, region: at.region, service: "ecr", at: time.Now()}.sign(req, body)
	client := http.Client{Transport: via, Timeout: exchangeWithin}
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return Login{}, fmt.Errorf("exchange AWS access key: %w", context.Cause(ctx))
		}
		return Login{}, fmt.Errorf("exchange AWS access key: %s cannot be reached: %w", at.endpoint, err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return Login{}, fmt.Errorf("exchange AWS access key: %w", err)
	}
	return readExchange(at, resp.StatusCode, text)
}

// readExchange reads the answer to an exchange.
func readExchange(at ecrRegion, status int, text []byte) (Login, error) {
	var answer struct {
		AuthorizationData []struct{ AuthorizationToken string }
		Type              string `json:"__type"`
	}
	unreadable := json.Unmarshal(text, &answer)
	// the type of a failure is a name such as UnrecognizedClientException; its message may repeat what was signed
	_, kind, found := strings.Cut(answer.Type, "#")
	if !found {
		kind = answer.Type
	}
	switch {
	case status >= http.StatusBadRequest && status < http.StatusInternalServerError && status != http.StatusTooManyRequests &&
		!strings.Contains(kind, "Throttling") && kind != "RequestExpired":
		return Login{}, job.Rejectf("AWS (%s) denies the access key that opens the registry (%s): check its id and secret, and that it may "+
			"ecr:GetAuthorizationToken", at.endpoint, cmp.Or(kind, http.StatusText(status)))
	case status != http.StatusOK || unreadable != nil || len(answer.AuthorizationData) == 0:
		return Login{}, fmt.Errorf("exchange AWS access key: %s answered %d %s", at.endpoint, status, kind)
	}
	plain, err := base64.StdEncoding.DecodeString(answer.AuthorizationData[0].AuthorizationToken)
	user, password, both := strings.Cut(string(plain), ":")
	if err != nil || !both {
		return Login{}, fmt.Errorf("exchange AWS access key: %s answered with a token that is no user and password", at.endpoint)
	}
	return Login{Username: user, Password: manifest.NewSecret(password)}, nil
}

// signing signs requests to AWS, by version 4 of its signature:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html.
type signing struct {
	id, secret, region, service string
	at                          time.Time
}

// sign adds the headers of the signature to a request whose path is / and which has its headers already. All headers
// that it has are signed.
func (s signing) sign(req *http.Request, body []byte) {
	at := s.at.UTC().Format("20060102T150405Z")
	day := at[:8]
	req.Header.Set("X-Amz-Date", at)
	headers := map[string]string{"host": req.URL.Host}
	for name, values := range req.Header {
		headers[strings.ToLower(name)] = strings.TrimSpace(strings.Join(values, ","))
	}
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)
	canonical := req.Method + "\n/\n" + req.URL.Query().Encode() + "\n"
	for _, name := range names {
		canonical += name + ":" + headers[name] + "\n"
	}
	signed := strings.Join(names, ";")
	canonical += "\n" + signed + "\n" + hexSum(body)
	scope := day + "/" + s.region + "/" + s.service + "/aws4_request"
	key := []byte("AWS4" + s.secret)
	for _, part := range []string{day, s.region, s.service, "aws4_request"} {
		key = mac(key, part)
	}
	signature := mac(key, "AWS4-HMAC-SHA256\n"+at+"\n"+scope+"\n"+hexSum([]byte(canonical)))
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+s.id+"/"+scope+", SignedHeaders="+signed+", Signature="+hex.EncodeToString(signature))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
