package queue

import (
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Redis gives tests the client itself, to look at keys and to count commands.
func (q *Queue) Redis() *redis.Client { return q.rdb }

// Break changes the text of one script of this queue, to see which law notices.
func (q *Queue) Break(script, was, is string) error {
	s := map[string]*redis.Script{}
	found := false
	for name, old := range q.scripts {
		s[name] = old
		common, err := files.ReadFile("lua/common.lua")
		if err != nil {
			return err
		}
		body, err := files.ReadFile("lua/" + name)
		if err != nil {
			return err
		}
		text := string(body)
		if script == "common.lua" {
			text = string(common) + text
		} else {
			text = string(common) + text
			if name != script {
				continue
			}
		}
		if strings.Contains(text, was) {
			found = true
			s[name] = redis.NewScript(strings.ReplaceAll(text, was, is))
		}
	}
	if !found {
		return fmt.Errorf("%s has no %q", script, was)
	}
	q.scripts = s
	return nil
}
