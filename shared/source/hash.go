package source

import "github.com/gigurra/flycd/shared/job"

// Hash is Git's own hash of a folder or file of a commit, whatever an ignore file says: two commits with the same one
// have the same there. The empty path is the whole tree. A folder on disk has none.
func (t *Tree) Hash(p string) (string, error) {
	clean, err := cleanPath(p)
	if err != nil {
		return "", err
	}
	if t.IsLocal() {
		return "", job.Rejectf("%s is a folder on disk, which has no hash of Git's", t.Path)
	}
	entry, err := t.lookup(clean)
	return entry.hash.String(), err
}
