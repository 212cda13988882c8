// Command step is the only program of the base image that the tests build from: what a step of a Dockerfile does there, it does.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func main() {
	verb, args := os.Args[1], os.Args[2:]
	if err := verbs[verb](args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var verbs = map[string]func(args []string) error{
	// say writes its words, one a line, and write writes them to a file.
	"say": func(a []string) error { _, err := fmt.Println(strings.Join(a, "\n")); return err },
	"write": func(a []string) error {
		if err := os.MkdirAll(filepath.Dir(a[0]), 0o755); err != nil {
			return err
		}
		return os.WriteFile(a[0], []byte(strings.Join(a[1:], " ")), 0o644)
	},
	// env writes a variable to a file, hash says which text a file or a variable holds, without the text.
	"env": func(a []string) error { return os.WriteFile(a[1], []byte(os.Getenv(a[0])), 0o644) },
	"hash": func(a []string) error {
		text, err := os.ReadFile(a[0])
		if err != nil {
			text = []byte(os.Getenv(a[0]))
		}
		_, err = fmt.Printf("hash %x\n", sha256.Sum256(text))
		return err
	},
	// copy appends a file to another, and makes its folder.
	"copy": func(a []string) error {
		text, err := os.ReadFile(a[0])
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(a[1]), 0o755); err != nil {
			return err
		}
		f, err := os.OpenFile(a[1], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.Write(text)
		return err
	},
	// fail says lines and ends with a code.
	"fail": func(a []string) error {
		n, _ := strconv.Atoi(a[1])
		for i := range n {
			fmt.Println("line", i+1)
		}
		code, _ := strconv.Atoi(a[0])
		os.Exit(code)
		return nil
	},
	// show says what files hold, absent whether there is none.
	"show": func(a []string) error {
		for _, file := range a {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			fmt.Printf("shows %s\n", text)
		}
		return nil
	},
	"absent": func(a []string) error {
		_, err := os.Stat(a[0])
		fmt.Println("absent", os.IsNotExist(err))
		return nil
	},
	"sleep": func(a []string) error {
		fmt.Println(strings.Join(a[1:], " "))
		d, err := time.ParseDuration(a[0])
		time.Sleep(d)
		return err
	},
	// eat holds memory, fill writes a file, of so many MiB.
	"eat": func(a []string) error {
		n, err := strconv.Atoi(a[0])
		var held [][]byte
		for range n {
			page := make([]byte, 1<<20)
			for i := 0; i < len(page); i += 4096 {
				page[i] = 1
			}
			held = append(held, page)
		}
		fmt.Println("ate", len(held))
		return err
	},
	"fill": func(a []string) error {
		f, err := os.Create(a[1])
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(a[0])
		block := []byte(strings.Repeat("0123456789abcdef", 1<<16))
		for range n {
			if _, err := f.Write(block); err != nil {
				return err
			}
		}
		return f.Close()
	},
	// get says words and asks a web server.
	"get": func(a []string) error {
		fmt.Println(strings.Join(a[1:], " "))
		res, err := http.Get(a[0])
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", res.Status)
		}
		_, err = io.Copy(os.Stdout, res.Body)
		return err
	},
	// ssh has the agent sign, and then tries to take its keys away.
	"ssh": func([]string) error {
		conn, err := net.Dial("unix", os.Getenv("SSH_AUTH_SOCK"))
		if err != nil {
			return err
		}
		client := agent.NewClient(conn)
		keys, err := client.List()
		if err != nil {
			return err
		}
		for _, k := range keys {
			signature, err := client.Sign(k, []byte("words"))
			if err != nil {
				return err
			}
			public, err := ssh.ParsePublicKey(k.Marshal())
			if err != nil {
				return err
			}
			fmt.Println("signed", ssh.FingerprintSHA256(public), public.Verify([]byte("words"), signature) == nil)
		}
		fmt.Println("removed", client.RemoveAll() == nil)
		return nil
	},
}
