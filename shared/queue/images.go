package queue

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/gigurra/flycd/shared/catalog"
)

// Images gives, for each push to a registry, the apps that name its image, of current generations only, also those
// that do not follow it; and when the push was first told. It is one command, and its time depends on the number
// of these apps. Safe to repeat: a push that is told again, within the time that deliveries are remembered, has
// the same stamp, unless another one of the same tag was told in between.
func (q *Queue) Images(ctx context.Context, pushes []catalog.ImagePush) ([]catalog.ImageFound, error) {
	args := []any{q.Times.keep()}
	for _, p := range pushes {
		args = append(args, p.Image.Repository, p.Image.Tag, p.Mark())
	}
	reply, err := q.run(ctx, "images.lua", args...).Slice()
	if err != nil {
		return nil, fmt.Errorf("look up images: %w", err)
	}
	found := make([]catalog.ImageFound, len(pushes))
	for i := range found {
		if len(reply) < 2 || integer(reply[0]) > int64(len(reply)-2) {
			return nil, fmt.Errorf("look up images: the answer breaks off at %s", pushes[i].Image)
		}
		n := integer(reply[0])
		found[i] = catalog.ImageFound{Stamp: integer(reply[1]), Routes: make([]catalog.ImageRoute, n)}
		for j, v := range reply[2 : 2+n] {
			if err := json.Unmarshal([]byte(str(v)), &found[i].Routes[j]); err != nil {
				return nil, fmt.Errorf("decode route of %s: %w", pushes[i].Image.Repository, err)
			}
		}
		reply = reply[2+n:]
	}
	return found, nil
}
