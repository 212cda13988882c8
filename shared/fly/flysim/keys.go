package flysim

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/superfly/macaroon/resset"
)

// secretKey is a key that is used without being seen. Whatever its type, the simulator encrypts
// with AES-256-GCM and signs with HMAC-SHA256: round trips hold, the bytes are not Fly's.
type secretKey struct {
	kind    string
	value   []byte
	created time.Time
}

// octets are bytes as the API shows them: a list of numbers or, as fly-go writes them, base64.
type octets []byte

type keyView struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

func (k *secretKey) view(name string) keyView {
	at := k.created.UTC().Format(time.RFC3339)
	return keyView{name, k.kind, at, at}
}

func (s *Server) keyRoutes() []route {
	const all = " /v1/apps/{app}/secretkeys"
	const one = all + "/{name}"
	use := func(verb string, run func(*call, *secretKey) answer) route {
		return route{pattern: "POST" + one + "/" + verb, action: resset.ActionWrite, scope: toApp, run: s.withKey(run)}
	}
	return []route{
		{pattern: "GET" + all, action: resset.ActionRead, scope: toApp, run: s.listKeys},
		{pattern: "GET" + one, action: resset.ActionRead, scope: toApp, run: s.withKey(func(c *call, k *secretKey) answer { return ok(k.view(c.r.PathValue("name"))) })},
		{pattern: "POST" + one, action: resset.ActionWrite, scope: toApp, run: s.setKey},
		{pattern: "POST" + one + "/generate", action: resset.ActionWrite, scope: toApp, run: s.setKey},
		{pattern: "DELETE" + one, action: resset.ActionWrite, scope: toApp, run: s.deleteKey},
		use("encrypt", encrypt), use("decrypt", decrypt), use("sign", sign), use("verify", verify),
	}
}

func (s *Server) withKey(run func(*call, *secretKey) answer) func(*call) answer {
	return func(c *call) answer {
		if a, refused := s.behind(c, c.app.keysVersion); refused {
			return a
		}
		k := c.app.keys[c.r.PathValue("name")]
		if k == nil {
			return failf(http.StatusNotFound, "not_found: secret key %s not found", c.r.PathValue("name"))
		}
		return run(c, k)
	}
}

func (s *Server) listKeys(c *call) answer {
	if a, refused := s.behind(c, c.app.keysVersion); refused {
		return a
	}
	views := []keyView{}
	for _, name := range slices.Sorted(maps.Keys(c.app.keys)) {
		views = append(views, c.app.keys[name].view(name))
	}
	return ok(struct {
		Keys []keyView `json:"secret_keys"`
	}{views})
}

func (s *Server) setKey(c *call) answer {
	var in struct {
		Type  string `json:"type"`
		Value octets `json:"value"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	kinds := []string{"es256", "hs256", "hs384", "hs512", "xaes256gcm", "nacl_auth", "nacl_box", "nacl_secretbox", "nacl_sign"}
	if !slices.Contains(kinds, in.Type) {
		return failf(http.StatusBadRequest, "invalid_argument: unknown key type %q, must be one of %v", in.Type, kinds)
	}
	if strings.HasSuffix(c.r.URL.Path, "/generate") {
		in.Value = make([]byte, 32)
		_, _ = rand.Read(in.Value) // never fails
	}
	if len(in.Value) == 0 {
		return fail(http.StatusBadRequest, "invalid_argument: value is required")
	}
	name := c.r.PathValue("name")
	k := &secretKey{kind: in.Type, value: in.Value, created: s.now()}
	c.app.keys[name] = k
	c.app.keysVersion++
	s.announce()
	return created(struct {
		keyView
		versioned
	}{k.view(name), versioned{c.app.keysVersion, c.app.keysVersion}})
}

func (s *Server) deleteKey(c *call) answer {
	delete(c.app.keys, c.r.PathValue("name"))
	c.app.keysVersion++
	s.announce()
	return ok(versioned{c.app.keysVersion, c.app.keysVersion})
}

// keyInput is the body of whatever uses a key.
type keyInput struct {
	Plaintext  octets `json:"plaintext"`
	Ciphertext octets `json:"ciphertext"`
	Signature  octets `json:"signature"`
	Data       octets `json:"associated_data"`
}

func (k *secretKey) aead() cipher.AEAD {
	sum := sha256.Sum256(k.value)
	block, _ := aes.NewCipher(sum[:]) // 32 bytes are always a key
	gcm, _ := cipher.NewGCM(block)    // and its block always fits
	return gcm
}

func encrypt(c *call, k *secretKey) answer {
	var in keyInput
	if a, fine := c.decode(&in); !fine {
		return a
	}
	gcm := k.aead()
	nonce := make([]byte, gcm.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return ok(map[string][]byte{"ciphertext": gcm.Seal(nonce, nonce, in.Plaintext, in.Data)})
}

func decrypt(c *call, k *secretKey) answer {
	var in keyInput
	if a, fine := c.decode(&in); !fine {
		return a
	}
	gcm := k.aead()
	if len(in.Ciphertext) < gcm.NonceSize() {
		return fail(http.StatusBadRequest, "invalid_argument: ciphertext is too short")
	}
	plain, err := gcm.Open(nil, in.Ciphertext[:gcm.NonceSize()], in.Ciphertext[gcm.NonceSize():], in.Data)
	if err != nil {
		return fail(http.StatusBadRequest, "invalid_argument: decryption failed")
	}
	return ok(map[string][]byte{"plaintext": plain})
}

func (k *secretKey) mac(text []byte) []byte {
	h := hmac.New(sha256.New, k.value)
	h.Write(text)
	return h.Sum(nil)
}

func sign(c *call, k *secretKey) answer {
	var in keyInput
	if a, fine := c.decode(&in); !fine {
		return a
	}
	return ok(map[string][]byte{"signature": k.mac(in.Plaintext)})
}

func verify(c *call, k *secretKey) answer {
	var in keyInput
	if a, fine := c.decode(&in); !fine {
		return a
	}
	if !hmac.Equal(in.Signature, k.mac(in.Plaintext)) {
		return fail(http.StatusBadRequest, "invalid_argument: signature verification failed")
	}
	return empty(http.StatusNoContent)
}

// UnmarshalJSON takes both forms.
func (o *octets) UnmarshalJSON(text []byte) error {
	if len(text) == 0 || text[0] != '[' {
		var plain []byte
		if err := unmarshalBytes(text, &plain); err != nil {
			return err
		}
		*o = plain
		return nil
	}
	out := octets{}
	for _, field := range strings.FieldsFunc(string(text), func(r rune) bool { return strings.ContainsRune("[], \t\r\n", r) }) {
		n, err := strconv.ParseUint(field, 10, 8)
		if err != nil {
			return fmt.Errorf("%s is not a byte", field)
		}
		out = append(out, byte(n))
	}
	*o = out
	return nil
}
