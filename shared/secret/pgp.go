package secret

import (
	"bytes"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// armorBegin begins each armored key.
const armorBegin = "-----BEGIN PGP"

// keyRing makes the binary key ring that sops reads from armored private keys, unlocked.
func keyRing(armored, passphrase manifest.Secret) ([]byte, error) {
	var ring bytes.Buffer
	found := false
	for i, block := range strings.Split(armored.Reveal(), armorBegin) {
		if i == 0 {
			continue // what stands before the first one
		}
		found = true
		part, err := unarmor(armorBegin+block, passphrase.Reveal())
		if err != nil {
			return nil, err
		}
		_, _ = ring.Write(part)
	}
	if !found {
		return nil, noPrivateKey()
	}
	return ring.Bytes(), nil
}

// The errors quote nothing: what is wrong with a key could be a part of it.

func noPrivateKey() error {
	return job.Rejectf("%s holds no armored private key: expected the output of gpg --export-secret-keys --armor, with its line breaks", EnvPGP)
}

func stillLocked() error {
	return job.Rejectf("%s is locked by a passphrase, and %s does not open it", EnvPGP, EnvPassphrase)
}

func unarmor(text, passphrase string) ([]byte, error) {
	block, err := armor.Decode(strings.NewReader(text))
	if err != nil || block.Type != openpgp.PrivateKeyType {
		return nil, noPrivateKey()
	}
	raw, err := io.ReadAll(block.Body)
	if err != nil {
		return nil, noPrivateKey()
	}
	keys, err := openpgp.ReadKeyRing(bytes.NewReader(raw))
	if err != nil {
		return nil, noPrivateKey()
	}
	locked := false
	for _, e := range keys {
		for _, key := range privateKeys(e) {
			if key.Encrypted && !key.Dummy() {
				locked = true
				if key.Decrypt([]byte(passphrase)) != nil {
					return nil, stillLocked()
				}
			}
		}
	}
	if !locked {
		return raw, nil
	}
	var out bytes.Buffer
	for _, e := range keys {
		if err := e.SerializePrivateWithoutSigning(&out, nil); err != nil {
			return nil, stillLocked()
		}
	}
	return out.Bytes(), nil
}

// privateKeys are the entity's own and those of its subkeys.
func privateKeys(e *openpgp.Entity) []*packet.PrivateKey {
	var keys []*packet.PrivateKey
	if e.PrivateKey != nil {
		keys = append(keys, e.PrivateKey)
	}
	for _, sub := range e.Subkeys {
		if sub.PrivateKey != nil {
			keys = append(keys, sub.PrivateKey)
		}
	}
	return keys
}
