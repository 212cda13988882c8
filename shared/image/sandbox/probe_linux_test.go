package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gigurra/flycd/shared/image/sandbox"
)

// probes are the programs that run inside sandboxes. Each prints what it found.
var probes = map[string]func(args []string) error{
	"run": probeRun, "env": probeEnv, "dial": probeDial, "get": probeGet, "listen": probeListen, "spoof": probeSpoof,
	"lookup": probeLookup, "bomb": probeBomb, "eat": probeEat, "fill": probeFill, "inbuild": probeInBuild,
	"daemon": probeDaemon, "lurk": probeLurk, "read": probeRead, "write": probeWrite, "disk": probeDisk,
	"network": probeNetwork, "wait": probeWait, "runner": probeRunner, "abstract": probeAbstract, "raise": probeRaise, "container": probeContainer, "kill": probeKill, "flows": probeFlows, "hear": probeHear,
}

func probe(name string, args []string) int {
	run, ok := probes[name]
	if !ok {
		fmt.Println("no such probe:", name)
		return 2
	}
	if err := run(args); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// probeRun prints its arguments.
func probeRun(args []string) error {
	fmt.Println(strings.Join(args, " "))
	return nil
}

// probeEnv prints the environment, the host's name, the folder and the processes that can be seen.
func probeEnv([]string) error {
	name, _ := os.Hostname()
	wd, _ := os.Getwd()
	procs, _ := filepath.Glob("/proc/[0-9]*")
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"env": os.Environ(), "host": name, "dir": wd, "procs": len(procs)})
}

// probeDial tries every address (network/address) and prints which answer.
// probeListen prints the own addresses, accepts on a port of all of them, and proves by a call to itself that it does.
// probeSpoof sends one datagram with a forged sender, then one with its own.
// probeLookup asks for names as every program does, and prints what it hears.
// enterBuild moves this process to where runc puts containers.
func enterBuild() error {
	groups, err := filepath.Glob("/sys/fs/cgroup/*/build/cgroup.procs")
	if err != nil || len(groups) == 0 {
		groups = []string{"/sys/fs/cgroup/build/cgroup.procs"}
	}
	for _, g := range groups {
		if err := os.WriteFile(g, []byte("0"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// probeInBuild starts another probe as foreign code, says how it ended and waits, as buildkitd would.
func probeInBuild(args []string) error {
	cmd := exec.Command("/proc/self/exe", append([]string{"probe"}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err := cmd.Run()
	fmt.Println("foreign code ended:", err)
	return probeWait(nil)
}

// probeBomb forks until it cannot any more, and says how many it had.
func probeBomb([]string) error {
	if err := enterBuild(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		// all stay: each waits for ever
		_, err := syscall.ForkExec("/proc/self/exe", []string{"x", "probe", "wait"}, &syscall.ProcAttr{})
		if err != nil {
			fmt.Println("forked", n, "then", err)
			return nil
		}
	}
}

// probeEat takes memory until something stops it.
func probeEat(args []string) error {
	if len(args) == 0 {
		if err := enterBuild(); err != nil {
			return err
		}
	}
	for {
		b, err := unix.Mmap(-1, 0, 8<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return err
		}
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
	}
}

// probeFill writes until something stops it.
func probeFill(args []string) error {
	f, err := os.Create(filepath.Join(args[0], "fill"))
	if err != nil {
		return err
	}
	b := make([]byte, 1<<20)
	for {
		if _, err := f.Write(b); err != nil {
			return err
		}
	}
}

// probeDaemon leaves a process behind as daemons do, in a session of its own and without a parent.
func probeDaemon(args []string) error {
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"x", "probe", "lurk", "again", args[0]}, &syscall.ProcAttr{
		Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	var s syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &s, 0, nil); err != nil {
		return err
	}
	fmt.Println("left a daemon behind")
	return probeWait(nil)
}

// probeLurk is the middle of a double fork, or the daemon.
func probeLurk(args []string) error {
	if args[0] == "again" {
		_, err := syscall.ForkExec("/proc/self/exe", []string{"x", "probe", "lurk", args[1]}, &syscall.ProcAttr{
			Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true},
		})
		return err
	}
	fmt.Println("lurking")
	return probeWait(nil)
}

// probeRead tries to read files and folders.
func probeRead(args []string) error {
	for _, pattern := range args {
		paths, _ := filepath.Glob(pattern)
		if len(paths) == 0 {
			fmt.Println("absent", pattern)
		}
		for _, p := range paths {
			text, err := os.ReadFile(p)
			fmt.Printf("read %s %q %v\n", p, strings.ReplaceAll(string(text), "\x00", " "), err)
		}
	}
	return nil
}

// probeWrite tries to make a file in each folder.
func probeWrite(args []string) error {
	for _, dir := range args {
		err := os.WriteFile(filepath.Join(dir, "written"), nil, 0o600)
		fmt.Println("write", dir, err)
	}
	return nil
}

// probeDisk makes a node of the disk with these numbers and tries to read it.
func probeDisk(args []string) error {
	major, _ := strconv.Atoi(args[1])
	minor, _ := strconv.Atoi(args[2])
	node := filepath.Join(args[0], "disk")
	if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(uint32(major), uint32(minor)))); err != nil {
		return fmt.Errorf("mknod: %w", err)
	}
	_, err := os.Open(node)
	fmt.Println("open:", err)
	err = unix.Mount(node, "/mnt", "ext4", unix.MS_RDONLY, "")
	fmt.Println("mount:", err)
	return nil
}

// probeNetwork prints the addresses that this end has.
// probeRaise tries to give itself more than it was given.
func probeRaise([]string) error {
	for _, file := range []string{"memory/memory.limit_in_bytes", "pids/pids.max", "devices/devices.allow", "memory.max", "pids.max"} {
		paths, _ := filepath.Glob("/sys/fs/cgroup/" + file)
		for _, p := range paths {
			value := "1099511627776"
			if filepath.Base(p) == "devices.allow" {
				value = "a"
			}
			fmt.Println(file, os.WriteFile(p, []byte(value), 0o600))
		}
	}
	return probeEat([]string{"here"})
}

// probeWait runs until it is killed.
func probeWait([]string) error {
	for {
		if err := unix.Pause(); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// probeRunner is not inside: it stands for a runner, which has a secret in its environment and starts a sandbox with
// the probe that its arguments name. What is inside writes to the runner's own output.
func probeRunner(args []string) error {
	box, err := sandbox.Start(context.Background(), sandbox.Spec{
		Dir: args[0], Path: self(), Args: append([]string{"probe"}, args[1:]...), Log: os.Stdout,
	})
	if err != nil {
		return err
	}
	<-box.Done()
	return box.Close()
}

// self is this program as everybody sees it.
func self() string {
	p, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return p
}

// script is what the container does: it starts as many processes as it can.
const script = `(n=0; while :; do /bin/busybox sleep 1000 & n=$((n+1)); echo $n > /bin/n; done) 2> /bin/said
read n < /bin/n; echo "container forked $n"`

// probeContainer has runc run a container as buildkitd does.
func probeContainer(args []string) error {
	dir, runc := args[0], args[1]
	if err := os.Chdir(dir); err != nil {
		return err
	}
	if out, err := exec.Command(runc, "spec").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	text, err := os.ReadFile("config.json")
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		return err
	}
	process := config["process"].(map[string]any)
	process["terminal"] = false
	process["args"] = []string{"/bin/busybox", "sh", "-c", script}
	config["root"] = map[string]any{"path": "rootfs"}
	config["linux"].(map[string]any)["cgroupsPath"] = "/build/container"
	if text, err = json.Marshal(config); err != nil {
		return err
	}
	if err := os.WriteFile("config.json", text, 0o600); err != nil {
		return err
	}
	cmd := exec.Command(runc, "--root", filepath.Join(dir, "runc"), "run", "test")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

func probeKill([]string) error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) }

// probeFlows opens more connections than are allowed, and calls before and after.
// probeHear prints the datagrams that come.
