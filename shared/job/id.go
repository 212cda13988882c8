package job

import (
	"crypto/sha256"
	"encoding/base32"
	"strconv"
	"strings"
)

const (
	idLength   = 26
	idAlphabet = "abcdefghijklmnopqrstuvwxyz234567"
)

//nolint:gochecknoglobals // an encoding is a table
var idEncoding = base32.NewEncoding(idAlphabet).WithPadding(base32.NoPadding)

// Push is what makes two events the same push.
type Push struct {
	Kind    Kind
	Subject string
	// Repo is any spelling of the repository's URL.
	Repo, Ref, Before, After string
	// Time is the forge's push time in Unix milliseconds. It tells A → B → force-push A apart.
	Time int64
}

// ID gives the id of the job that the push makes: the same for one push seen through two hooks,
// another one for every push.
func (p Push) ID() ID {
	return hash("push", string(p.Kind), p.Subject, RepoKey(p.Repo), p.Ref, p.Before, p.After, strconv.FormatInt(p.Time, 10))
}

// ChildID gives the id of the job that the parent makes for an app at a commit, so that a sync that runs
// again names the same jobs, and other ones where the head that it was to read has moved meanwhile.
func ChildID(parent ID, kind Kind, app, commit string) ID {
	return hash("child", string(parent), string(kind), app, commit)
}

// SaltedID gives an id of its own to a person's wish. The salt is fresh randomness.
func SaltedID(kind Kind, subject, salt string) ID {
	return hash("salted", string(kind), subject, salt)
}

// hash joins with a byte that none of the parts can hold, so that no two lists give one text.
func hash(parts ...string) ID {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return ID(idEncoding.EncodeToString(sum[:])[:idLength])
}
