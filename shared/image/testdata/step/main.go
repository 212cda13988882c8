// Command step is what the steps of the tests' Dockerfiles run: their base images hold nothing else.
package main

import (
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(verb string, args []string) error {
	switch verb {
	case "reverse": // FROM TO: a file, backwards
		text, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		for i, j := 0, len(text)-1; i < j; i, j = i+1, j-1 {
			text[i], text[j] = text[j], text[i]
		}
		return os.WriteFile(args[1], text, 0o644)
	case "show": // FILE
		text, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		fmt.Println("it says " + string(text))
		return nil
	case "keys": // TO: what the ssh agent says to a question for its keys
		conn, err := net.Dial("unix", os.Getenv("SSH_AUTH_SOCK"))
		if err != nil {
			return err
		}
		if _, err := conn.Write([]byte{0, 0, 0, 1, 11}); err != nil {
			return err
		}
		answer := make([]byte, 4096)
		n, err := conn.Read(answer)
		if err != nil {
			return err
		}
		return os.WriteFile(args[0], answer[:n], 0o644)
	case "dial": // ADDRESS
		conn, err := net.DialTimeout("tcp", args[0], 2*time.Second)
		if err == nil {
			return conn.Close()
		}
		return err
	case "fail":
		fmt.Println("last words")
		os.Exit(7)
	case "killed":
		os.Exit(137)
	}
	return fmt.Errorf("no verb %q", verb)
}
