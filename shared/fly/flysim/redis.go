package flysim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// redisPatience is how long the Redis behind the add-ons may take to forget a database.
const redisPatience = 5 * time.Second

// redisOf is where a Redis add-on's data is: a database of its own on the Redis that Options names. The first add-on has
// the database that the URL says, each other one the first that is free after it.
func (s *Server) redisOf(database int) (*url.URL, error) {
	at, err := url.Parse(s.opts.Redis)
	if err != nil || at.Scheme != "redis" && at.Scheme != "rediss" || at.Host == "" {
		return nil, errors.New("the Redis behind the simulated add-ons has no address of the form redis://HOST:PORT")
	}
	first, _ := strconv.Atoi(strings.Trim(at.Path, "/"))
	if n := first + database; n > 0 {
		at.Path = "/" + strconv.Itoa(n)
	}
	return at, nil
}

// freeDatabase is the lowest that no add-on has.
func (s *Server) freeDatabase() int {
	for n := 0; ; n++ {
		taken := false
		for _, a := range s.addons {
			taken = taken || a.kind == addonRedis && a.database == n
		}
		if !taken {
			return n
		}
	}
}

// emptied empties the database of an add-on that is deleted.
func (s *Server) emptied(a *addon) error {
	if s.opts.Redis == "" || a.kind != addonRedis {
		return nil
	}
	at, err := s.redisOf(a.database)
	if err != nil || at.Scheme != "redis" {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), redisPatience)
	defer cancel()
	host := at.Host
	if at.Port() == "" {
		host = net.JoinHostPort(at.Hostname(), "6379")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return fmt.Errorf("empty the Redis behind %s: %w", a.name, err)
	}
	defer func() { _ = conn.Close() }() // every answer was read
	_ = conn.SetDeadline(time.Now().Add(redisPatience))
	answers := bufio.NewReader(conn)
	commands := [][]string{{"SELECT", strconv.Itoa(max(0, atoi(strings.Trim(at.Path, "/"))))}, {"FLUSHDB"}}
	if password, has := at.User.Password(); has {
		auth := []string{"AUTH", at.User.Username(), password}
		if at.User.Username() == "" {
			auth = []string{"AUTH", password}
		}
		commands = append([][]string{auth}, commands...)
	}
	for _, c := range commands {
		if err := order(conn, answers, c); err != nil {
			return fmt.Errorf("empty the Redis behind %s: %s: %w", a.name, c[0], err)
		}
	}
	return nil
}

// order sends one command whose answer is OK.
func order(conn net.Conn, answers *bufio.Reader, command []string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "*%d\r\n", len(command))
	for _, word := range command {
		fmt.Fprintf(&text, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := conn.Write([]byte(text.String())); err != nil {
		return err
	}
	said, err := answers.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(said, "+OK") {
		return errors.New(strings.TrimSpace(said))
	}
	return nil
}

func atoi(text string) int {
	n, _ := strconv.Atoi(text) // what is no number is none
	return n
}
