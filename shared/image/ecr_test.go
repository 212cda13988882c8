package image

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// The requests and signatures are those of AWS's published test suite for version 4 of its signature
// (get-vanilla, post-vanilla, get-vanilla-query-order-key-case, post-x-www-form-urlencoded) and of its documentation's example (IAM ListUsers).
func TestSignaturesAreThoseThatAWSPublished(t *testing.T) {
	at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	for what, c := range map[string]struct {
		method, url, content, body, service, signature string
	}{
		"get-vanilla":                      {"GET", "https://example.amazonaws.com/", "", "", "service", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		"post-vanilla":                     {"POST", "https://example.amazonaws.com/", "", "", "service", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		"get-vanilla-query-order-key-case": {"GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1", "", "", "service", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		"post-x-www-form-urlencoded":       {"POST", "https://example.amazonaws.com/", "application/x-www-form-urlencoded", "Param1=value1", "service", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
		"ListUsers":                        {"GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", "application/x-www-form-urlencoded; charset=utf-8", "", "iam", "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, c.url, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.content != "" {
			req.Header.Set("Content-Type", c.content)
		}
		signing{id: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", region: "us-east-1", service: c.service, at: at}.sign(req, []byte(c.body))
		if got := req.Header.Get("Authorization"); !strings.HasSuffix(got, "Signature="+c.signature) {
			t.Errorf("%s: %s, want signature %s", what, got, c.signature)
		}
	}
}

func TestRegistriesOfAWSAreKnownByTheirNames(t *testing.T) {
	for host, want := range map[string]string{
		"123456789012.dkr.ecr.eu-north-1.amazonaws.com":     "api.ecr.eu-north-1.amazonaws.com",
		"123456789012.dkr.ecr-fips.us-east-1.amazonaws.com": "ecr-fips.us-east-1.amazonaws.com",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn":  "api.ecr.cn-north-1.amazonaws.com.cn",
		"public.ecr.aws": "",
		"ghcr.io":        "",
		"123456789012.dkr.ecr.eu-north-1.amazonaws.com.evil": "",
		"123456789012.dkr.ecr.evil.com/.amazonaws.com":       "",
	} {
		if got, ok := ecrOf(host); got.endpoint != want || ok != (want != "") {
			t.Errorf("%s: %v %v, want %q", host, got, ok, want)
		}
	}
}
