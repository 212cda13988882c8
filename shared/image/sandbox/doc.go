// Package sandbox owns the noun Sandbox: where a program runs that runs foreign code. For FlyCD that program is
// buildkitd, and the foreign code is what the steps of a Dockerfile do. What runs in a sandbox reaches the public
// internet and nothing of ours, uses no more than it was given, and does not outlive it.
//
// # What it is made of
//
// Start starts this very program again, under another name, as the first process (init) of new PID, mount, network,
// IPC and UTS namespaces; Main, which every main calls first, is what it does there. The init waits while the parent
// puts it into its cgroups and gives it a network; then it leaves the machine's cgroups, makes a root of its own,
// drops capabilities, starts the program, and from then on only buries the dead.
//
//	runner ── pipe: order ──▶ init (PID 1) ──▶ program (buildkitd) ──▶ runc ──▶ foreign code
//	   │                        │                 └─ cgroup inner/program        └─ cgroup inner/build: limits
//	   ├─ cgroup fcd<pid>x<salt>: limits of everything ─┘ inner is the root that it sees
//	   └─ fcd<pid>x<salt> ═══ veth ═══ eth0           DNS relay at the veth's outer end
//	        └─ nftables table of the same name: filter and NAT
//
// Root of the sandbox is root of the machine, without a user namespace: runc and overlayfs need it, and layers hold
// files of all owners. So the walls are built twice. Steps are held by runc (its namespaces, capabilities, seccomp)
// inside the sandbox; and a buildkitd that somebody has taken over is held by the sandbox.
//
// # Threats, measures, tests
//
//	threat                                   measure                                            test
//	read the runner's environment, its       new PID namespace and /proc: its processes are     RunnersSecretsAreNotSeen
//	memory or its arguments (Fly token,      not there; the program's environment is            ProgramSeesOnlyItsOwn
//	Redis URL)                               exactly Spec.Env
//	files that the runner has open           init lets nothing be inherited                     RunnersOpenFilesAreNotInherited
//	read the runner's files, its sockets,    a small root: programs, libraries, certificates,   RunnersSecretsAreNotSeen
//	the socket of Fly's API (/.fly/api)      Dir; what is not named is not there
//	change the machine's files               read only, but for Dir; /run, /tmp, /dev are       MachinesFilesCannotBeWritten
//	                                         the sandbox's own; mounts are private              CloseGivesEverythingBack
//	read the disk past the file system       devices cgroup (version 1), CAP_SYS_RAWIO and      MachinesDiskIsClosed
//	                                         CAP_DAC_READ_SEARCH dropped
//	load a module, reboot, trace init,       capabilities dropped, /proc/sys read only          DangerousCapabilitiesAreDropped
//	change the kernel's switches
//	reach the private network (6PN),         no IPv6 at all; IPv4 that is not public is         NothingPrivateIsReached
//	Redis, metadata, other machines          refused; NAT                                       NetworkInsideIsIPv4…
//	reach the runner's own ports, on any     input chain: only the DNS relay; loopback is       NothingPrivateIsReached
//	address, or its abstract sockets         the sandbox's own network's                        TheMachinesEndIsNotReached
//	                                                                                            AbstractSocketIsNotReached
//	reach another sandbox                    their addresses are not public                     SandboxesDoNotReachEachOther
//	be reached from outside                  nothing new is let in                              MachineIsNoRouterForOthers
//	forge a sender                           only the address that was given passes             ForgedSenderIsDropped
//	exhaust the machine's connections        8192 per sandbox                                   ConnectionsAreBounded
//	learn private names; names that lead     relay: NXDOMAIN for them without asking;           NamesInsideArePublicOnes
//	into private networks (rebinding)        private addresses are cut from answers             PrivateNamesAreNotAskedOutside
//	break the relay                          one question, bounded in size, number and time     FuzzQuestionFromInside
//	                                                                                            FuzzAnswerOfServer
//	fork bomb                                pids limit on foreign code, another on all         ForkBombIsBounded
//	                                                                                            RuncRunsContainersInside
//	memory bomb                              memory limit likewise; oom_score_adj; the runner   MemoryBombKillsItselfOnly
//	                                         is in no group of the sandbox's                    ProgramThatEatsMemory…
//	raise one's own limits                   they are set above the root that is seen inside    LimitsCannotBeRaisedFromInside
//	fill the disk                            watched: a limit, and a reserve of the machine's   FullDiskEndsTheSandbox
//	                                                                                            TheMachineKeepsItsReserve…
//	starve the runner, so that it loses      half of a process's share of the processors        (by the kernel's scheduler)
//	its claim
//	leave a daemon behind                    it dies with init: the kernel kills the namespace  DaemonEndsWithClose
//	outlive a killed runner                  Pdeathsig on a thread that is kept, and the end    KilledRunnerTakesEverythingAlong
//	                                         of a pipe; what the machine still holds (table,
//	                                         cgroups) goes with the next Start
//
// # What it does to the machine
//
// Everything carries one name, fcd<pid>x<salt>, so that several runners on one machine, and what a killed one left,
// can be told apart. A link pair, whose outer end alone has forwarding; one nftables table of family inet, whose chains
// let pass what is not the sandbox's; one cgroup per hierarchy. Besides, the interfaces that lead to what may be reached
// are made to forward where they did not. While they forward only because of sandboxes the tables drop everybody else's
// packets there, so the machine does not become a router; the last sandbox switches it off again. Who changed what
// stands in /run/flycd/sandbox.lock, which is also the lock. Default routes, policies and the tables of others are never
// touched. A table of somebody else that drops forwarded packets (Docker's does) drops the sandbox's too.
//
// # Limits and how they are told
//
// Memory has two bounds: foreign code has Limits.Memory less an eighth (64 to 256 MB), which is the program's, so that
// what a step uses up is not buildkitd's. What the kernel killed is found in the group's own events at the moment that
// Err is called, so the one who sees a step fail with "signal: killed" learns why. Files that were deleted and are still
// open are not counted as Dir's; the reserve holds for them too.
//
// # What is not promised
//
// The kernel is shared with the runner: who breaks it breaks out. On Fly a runner is a machine of its own that is gone
// after the job, which is the outer wall. On version 2 of cgroups there is no devices controller without a BPF program:
// there a taken-over buildkitd (not a step) could make a node of the machine's disk and mount it. Public internet is
// allowed, so foreign code may send out whatever it is given: give a build only the secrets that it needs.
package sandbox
