// Package shared holds packages, never code. This page is the map of the house; layers_test.go
// keeps it.
//
//	forge ──bytes──▶ dispatcher ──Job──▶ Redis stream ──Claim──▶ runner ──Job──▶ deploy ──▶ Result ──▶ Redis
//	                 verify·parse·route                           ▲             fetch   ▶ Tree
//	                 launch one Fly Machine per job               │             read    ▶ App
//	a person ──▶ flycd deploy ──Job───────────────────────────────┘             observe ▶ Observed
//	                                                                            build   ▶ image
//	                                                                            diff    ▶ Plan
//	                                                                            apply   ▶ Fly
//
// Two doors, one corridor: a webhook and flycd deploy both end in the same job.Job, and
// deploy.Deployer is the only place that knows what a deploy is. Data moves right; nothing reaches
// back. What is decided is data (plan.Plan), what is done is a dumb switch (fly.Change.Apply).
//
// # Rooms
//
//	job             Job, Result       ids, order, encoding                                no I/O
//	manifest        App, Project      read, merge and validate app.yaml (from an fs.FS)   no I/O
//	settings        Log               read what the environment says                      files that it names
//	catalog         Entry, Route      which apps and trees a push concerns                no I/O
//	machine         Target            translate a manifest into what Fly should hold      no I/O
//	plan            Observed, Plan    diff and order                                      no I/O
//	report          Row               word plans for people, and for pull requests        no I/O
//	adopt           Draft             draft the manifest of an app that runs already      no I/O
//	secret          Resolver          resolve the values that a manifest refers to        sops
//	probe           Probe             ask an address from outside                         HTTP
//	source          Tree              resolve, fetch, digest                              Git, disk
//	image           Builder           resolve, build, push                                registries
//	image/assemble  Own               compile FlyCD and make its own images               go
//	image/buildkit  Builder           build in the runner, with a BuildKit of its own     buildkitd, runc
//	fault           Fault, List       make a simulator's requests go wrong                  no I/O
//	image/sandbox   Sandbox           hold a program that runs foreign code               Linux
//	queue           Queue, Claim      push, take, claim, hold, finish; keep the catalog   Redis
//	fly             Client, Change    observe, apply, prove                               Fly's API
//	fly/flysim      Server            simulate Fly                                        -
//	launch          Launcher          find, make and end runner machines; narrow tokens   Machines API
//	identity        Verifier          know who somebody is by a signed token              HTTP
//	forge           Client, Post      set up webhooks; report to commits, pulls, chats      GitHub's API, HTTP
//	forge/forgesim  Server            simulate GitHub                                       -
//	deploy          Deployer, Syncer  the corridor; a config tree into entries and jobs   through the above
//	install         Installer, Plan   install, mend, upgrade and remove FlyCD itself      through the above
//
// # Rules
//
// Imports go strictly down: job manifest settings < catalog machine < plan < fault image/sandbox < adopt report secret probe
// source image queue fly launch identity < image/buildkit forge deploy < install < dispatcher runner < cmd. Each client library has
// one owner (flaps fly, go-redis queue, go-git source, go-containerregistry image, BuildKit's client
// image/buildkit, netlink and nftables image/sandbox, env settings, go-github dispatcher and forge). The dispatcher's binary
// links neither fly-go, go-git, manifest nor deploy, nor a template engine, so that it wakes fast from a slow
// disk; cmd/flycd links neither BuildKit nor sops, so that go run compiles in a minute. Simulators are
// importable only from tests and from the local mode; what several rooms' tests share (queue/queuetest,
// image/imagetest, deploy/deploytest) from tests alone.
//
// # Invariants
//
// Each has tests that were seen to fail when it is broken; cmd/flycd's TestChaosEndsOnTheNewestCommits holds
// 1 to 5 together, and queue's TestBrokenScriptIsNoticed breaks every script of the queue again and again.
//
//	 1  a 2xx means the jobs are in       dispatcher  FullRedisAcceptsNothing, WithoutRedisNothingIsAccepted,
//	                                                  FirstPushToAnEmptyRedisIsLaunched, WedgedFlyDoesNotHoldTheAnswer
//	 2  at least once, idempotent         launch      NoFaultMakesASecondMachine, ConflictIsAdoptedWithoutTheList
//	                                      queue       MachineThatComesLateIsRefused, ReplayAnswersTheSame
//	                                      fly         EveryFaultAtEveryCallEndsWellOrIsRepaired
//	                                      deploy      KilledAfterAnyCallGoesOn, AnyFaultAtAnyCallIsOutlived
//	 3  one deployer of an app at a time  queue       NewJobParksWhileAnotherIsActive, SilentHolderLosesJob
//	                                      fly         LeasedAppIsRefusedToOthers, WhoWaitsReadsAgain,
//	                                                  UpdateCarriesNonceAndVersion, NoWriteStartsThatTrustCannotOutlast
//	                                      deploy      NothingIsChangedWithoutTrust
//	 4  the newest wish wins              queue       NewestWishWins, EveryOrderOfMoves
//	                                      runner      PushesOfOneSecondEndAtTheHead, PushThatWasReadAlreadyTakesNothingBack,
//	                                                  ConfigForcedBackIsDeployed,
//	                                                  LateOldPushIsSuperseded, SignalledRunnerGivesBack
//	                                      deploy      StepThatWasBegunIsFinished
//	 5  every active job ends             queue       LaunchThatNeverBootsIsTriedAgain, OverrunningAttemptLosesItsHold
//	                                      dispatcher  DuePassLetsLaunchesLapse
//	                                      runner      KilledRunnerIsFinishedByNextAttempt
//	 6  orphans, never on one sighting    dispatcher  MachineWithoutAJobIsEndedOnTheSecondSighting,
//	                                                  LaunchWithoutAMachineIsGivenUpOnTheSecondSighting,
//	                                                  UnreadableListEndsNothing
//	 7  a partial read shrinks nothing    deploy      PartialReadShrinksNothing, SyncThatCrashedIsRepairedByRunningAgain
//	                                      runner      PrunedAndAddedAgain, DestroyLooksAgainUnderTheLease
//	                                      plan        NothingIsLostWithoutAConfirmation
//	 8  success is proven                 plan        ProofFailsWhereOneThingIsWrong
//	                                      fly         ProofFailsUnlessAllOfItIsTrue
//	                                      deploy      DriftIsMendedWithoutRelease
//	 9  no secret is seen                 cmd         NoSecretIsLeftBehind, NoSecretIsInAnError, NoSecretIsInAPlan,
//	                                                  NoSecretIsHandedToRunners, ChildrenGetNoSecretOfTheirParent
//	                                      secret      WhatSopsSaysIsNotRepeated, SopsSeesItsKeysAndNothingElse,
//	                                                  AppsReadOnlyWhatTheyMayOfTheEnvironment, MACsAreEqualOnlyForEqualSecrets
//	                                      fly         ValuesAreHiddenHoweverTheyAreWritten, NoErrorTellsASecret
//	                                      manifest    RawSecretsAreSeenNowhere, SecretShowsItselfNowhere,
//	                                                  NoSecretIsTold, WriterFindsAValueInPieces
//	                                      image       BuildkitSecretReachesItsStepAlone, SecretsAreTakenOutHoweverTheyArrive
//	                                      buildkit    SecretsReachTheirStepsAndStayNowhere, ValueInPiecesOfTwoStepsIsTakenOut,
//	                                                  SSHKeysSignForStepsAndCannotBeTakenAway
//	                                      source      CredentialsStayInMemory, TokenStaysWithItsHost, WrongHostKeyIsRefused,
//	                                                  KeyringShowsItselfNowhere
//	                                      probe       SecretsOfAnAddressAreNotTold
//	                                      forge       ErrorsOfADestinationHoldNothingOfIt, TokenIsShownToTheForgeAlone
//	10  unchanged is cheap                runner      UnchangedCostsOneQuestion, SameSubtreeCostsOneFetch
//	                                      deploy      UnchangedSecretCostsNothing
//	11  bad input stops nobody            runner      BadAppsStopNobody, PanicEndsOneJob
//	                                      queue       PoisonNeverBlocks
//	                                      deploy      RejectedWithASentence
//	12  an image is built once            queue       OneBuildsAtATime, KilledHolderIsOutlived
//	                                      deploy      ImageThatIsThereIsDeployedWithoutABuild, TagFollowsWhatTheImageIsMadeOf
//	                                      buildkit    TwoMachinesMakeOneImageOfOneTree
//	                                      cmd         WhatWasBuiltOnceIsNotBuiltAgain, TwoJobsThatWantOneImageBuildItOnce
//	13  a build's code reaches nothing    sandbox     RunnersSecretsAreNotSeen, NothingPrivateIsReached,
//	    of ours, and ends with its job                KilledRunnerTakesEverythingAlong (and the table in its doc)
//	                                      cmd         StepsSeeNothingOfTheRunnerOrOfAnotherJob,
//	                                                  StepsReachNothingOfTheMachineOrOfAnotherJob
//	14  feedback comes in order, and      forge       FeedbackArrivesInOrderAndOncePerState, LostAnswersRepeatNothing,
//	    once per state                                HostileTextIsInertInEveryChannel
//	                                      dispatcher  WhatAKilledDispatcherLeftIsToldOnce, SlowForgeDelaysNoAnswer
//	15  a runner can do no more           cmd         RunnerCanDoNoMoreThanItsJob, TicketEndsWithItsAttempt,
//	    than its job                                  EverySecretHasARow (flycd help security says what each opens)
//	                                      dispatcher  WhoIsNotTheMachineIsNotGranted, FirstWhoAsksIsTheOnlyOne,
//	                                                  WhereFlyIsAskedATicketIsNotEnough, GrantEndsWithItsAttempt,
//	                                                  WorkflowAsksForItsOwnRepositoryAlone,
//	                                                  ForkIsPlannedOnceSomebodyWhoMayWriteAsks
//	                                      launch      StolenTokenReachesItsAppAndNothingElse, StolenTokenEndsWithItsJob,
//	                                                  NarrowedTokenIsNotWidened
//	                                      queue       RolesAreRefusedTheRest, ScriptOfOneRoleReachesNoFurtherForAnother
//
// A room is added when a noun appears that no room owns: in this map, in the test's layers and in
// the lint configuration, in one commit.
package shared
