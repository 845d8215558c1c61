// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

// TestMain lets this test program stand in for signet: as the charm's dispatch, and as the agent.
func TestMain(m *testing.M) {
	programs := map[string]func(){"signet": Main, "dispatch": Main, jujuName: Main, hardenedRole: tellHardening}
	for _, tool := range sandbox.ToolNames() {
		programs[tool] = Main
	}
	testscript.Main(m, programs)
}

// TestScripts plays the stories of testdata/script on the embedded Juju. Each reads like a session at a terminal:
//
//	deploy signet N [option=value…]      signet itself, as a real charm
//	deploy signet-node N [option=value…] the subordinate, alone on a machine
//	deploy APP N                         a scripted provider: easyrsa (legacy dialect), self-signed, refusing and aged
//	                                     (CSR dialect; refusing grants nothing to forbidden.example.com, aged gives first
//	                                     certificates that are near their end); a scripted consumer: etcd, kubernetes-control-plane, kubernetes-worker, k8s (v4
//	                                     library), plain (writes only what the story writes), trusting (certificate_transfer)
//	deploy-charm DIR N                   a charm among the story's files, in any language
//	relate APP:ENDPOINT APP:ENDPOINT     and unrelate
//	add-unit APP, remove-unit UNIT, lose-machine UNIT, lead UNIT
//	config APP option=value|@FILE…       likewise with deploy
//	add-secret NAME KEY=VALUE…           what the operator keeps in a secret; prints its URI. Values have 8 characters or more,
//	                                     and the sweep at the story's end looks for them all. update-secret, grant-secret,
//	                                     revoke-secret and remove-secret take the URI or the name
//	start-agent UNIT, kill-agent UNIT
//	update-status UNIT                   have the hook be due that Juju runs every five minutes
//	write UNIT RELATION KEY VALUE|@FILE  what a charm would write into its databag; RELATION is its endpoint's name
//	chmod-conf UNIT MODE                 of the unit's agent.conf
//	settle                               run hooks until nothing is due
//	await UNIT PATTERN                   likewise, until the unit's status matches
//	bag UNIT|APP RELATION [KEY]          print a databag, without what Juju puts there
//	status UNIT, hooks UNIT, files UNIT  print the status, the hooks that ran since the last time, what lies on disk
//	certificates                         print who holds what; fails unless everything verifies
//	service UNIT NAME ok|REASON          put a service on the unit's machine, which starts or fails
//	programs UNIT                        print which of its machine's programs ran since the last time
//	machine UNIT PATH                    print a file of its machine, or the names in a folder; put UNIT PATH TEXT writes one
//	describe FILE                        print what the first certificate in a file says
//	handshake DIR                        a TLS server and a client with the files in a folder, which verify each other
//	run UNIT ACTION [NAME=VALUE…]        run an action and print its results; output UNIT ACTION RESULT prints one alone
//	bring UNIT FILE PATH                 copy a file or folder to a unit's machine; fetch UNIT PATH FILE copies one back
//	journal UNIT FILE                    copy a unit's record; log UNIT prints what it wrote to Juju's log since the last time
//	remains [elsewhere]                  deploy what EasyRSA left in a recording, with its PKI folder or without it
//	refresh APP                          make a signet of an application
//	knowing FILE[#N]…                    fails unless all certificates verify, with what their owners send along, for who
//	                                     trusts the certificates in a file, or the n-th of them, and nothing else
//	vault start                          a Vault server; prints its address, and writes vault-ca.pem and root-token
//	vault seal, unseal, kill, restart, end-tokens
//	                                     what happens to it: "end-tokens" takes all logins away
//	vault secret-id ROLE, wrap ROLE      print a new secret-id of an AppRole, or a token that wraps one; vault wrap-token POLICY
//	                                     one that wraps a token; vault destroy ROLE SECRET-ID
//	at UNIT                              have "exec signet" be on this unit's machine; AGENT_CONF is the unit's agent.conf
//	turn UNIT                            have the unit's agent take a turn
//	get URL                              print what is served there: status, content type and body
//	free-port NAME, set NAME FILE        put a free port, or the content of a file, into an environment variable
func TestScripts(t *testing.T) {
	t.Parallel()
	charmDir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "../../testdata/script",
		Setup: func(env *testscript.Env) error {
			dir, err := os.MkdirTemp("", "signet-") //nolint:usetesting // paths of sockets are short, and the test's folder is deep
			if err != nil {
				return err
			}
			s, err := openStage(charmDir, dir, nil, sandbox.Options{ModelName: "story"})
			if err != nil {
				return err
			}
			env.Setenv("FLEET", cmp.Or(os.Getenv("SIGNET_FLEET"), "4")) // units of each application in the story of many
			env.Setenv("VECTORS", filepath.Join(charmDir, "testdata", "wire", "easyrsa-takeover"))
			s.env = []string{"GORACE=atexit_sleep_ms=0"} // the race detector has every process wait a second at its end
			played := &story{
				stage: s, work: env.WorkDir, requests: newRequestConsumer(), easyRSA: &easyRSA{ca: scriptedCA{name: "easyrsa"}},
				selfSigned: &selfSigned{ca: scriptedCA{name: "self-signed"}},
				refusing:   &selfSigned{ca: scriptedCA{name: "refusing"}, forbid: "forbidden.example.com"},
				refreshed:  map[string]bool{},
				logged:     map[string]int{},
				removed:    map[string]string{},
				t:          t, ends: env.Defer,
				aged: &selfSigned{ca: scriptedCA{name: "aged"}, aged: true, seen: map[string]bool{}},
			}
			env.Values[stageKey{}] = played
			env.Defer(func() {
				if err := errors.Join(played.sweep(), s.close(), os.RemoveAll(dir)); err != nil {
					t.Error(err)
				}
			})
			return nil
		},
		Cmds: storyCommands(),
	})
}

type stageKey struct{}

// story is one script's stage and what it remembers.
type story struct {
	stage      *stage
	work       string // where the story's files lie
	requests   *requestConsumer
	easyRSA    *easyRSA
	selfSigned *selfSigned
	refusing   *selfSigned
	aged       *selfSigned
	refreshed  map[string]bool   // applications that were made a signet
	logged     map[string]int    // lines of Juju's log that were printed, by unit
	told       bytes.Buffer      // results of actions, for the sweep
	removed    map[string]string // values of secrets that the operator removed, likewise
	vault      vaultServer
	t          testing.TB   // of all stories
	ends       func(func()) // has something done at this one's end
}

type storyCommand struct {
	args string // as the usage line shows them
	min  int
	run  func(s *story, ctx context.Context, w *bytes.Buffer, args []string) error
}

func storyCommands() map[string]func(*testscript.TestScript, bool, []string) {
	commands := map[string]func(*testscript.TestScript, bool, []string){}
	for name, command := range map[string]storyCommand{
		"deploy":        {"app units [option=value...]", 2, (*story).deploy},
		"deploy-charm":  {"dir units", 2, (*story).deployCharm},
		"relate":        {"app:endpoint app:endpoint", 2, (*story).relate},
		"unrelate":      {"app:endpoint app:endpoint", 2, (*story).unrelate},
		"add-unit":      {"app", 1, (*story).addUnit},
		"remove-unit":   {"unit", 1, (*story).removeUnit},
		"lose-machine":  {"unit", 1, (*story).loseMachine},
		"lead":          {"unit", 1, (*story).lead},
		"config":        {"app option=value...", 2, (*story).config},
		"add-secret":    {"name key=value...", 2, (*story).addSecret},
		"update-secret": {"uri|name key=value...", 2, (*story).updateSecret},
		"grant-secret":  {"uri|name app[,app...]", 2, (*story).grantSecret},
		"revoke-secret": {"uri|name app[,app...]", 2, (*story).revokeSecret},
		"remove-secret": {"uri|name", 1, (*story).removeSecret},
		"update-status": {"unit", 1, (*story).updateStatus},
		"await":         {"unit pattern", 2, (*story).await},
		"chmod-conf":    {"unit mode", 2, (*story).chmodConf},
		"start-agent":   {"unit", 1, (*story).startAgent},
		"kill-agent":    {"unit", 1, (*story).killAgent},
		"write":         {"unit endpoint key value|@file", 4, (*story).write},
		"settle":        {"", 0, (*story).settle},
		"bag":           {"unit|app endpoint [key]", 2, (*story).bag},
		"status":        {"unit", 1, (*story).status},
		"hooks":         {"unit", 1, (*story).hooks},
		"files":         {"unit", 1, (*story).files},
		"certificates":  {"", 0, (*story).certificates},
		"service":       {"unit name ok|reason", 3, (*story).service},
		"programs":      {"unit", 1, (*story).programs},
		"machine":       {"unit path", 2, (*story).machine},
		"put":           {"unit path text", 3, (*story).put},
		"describe":      {"file", 1, (*story).describe},
		"handshake":     {"dir", 1, (*story).handshake},
		"run":           {"unit action [parameter=value...]", 2, (*story).runAction},
		"output":        {"unit action result", 3, (*story).output},
		"bring":         {"unit file path", 3, (*story).bring},
		"fetch":         {"unit path file", 3, (*story).fetch},
		"get":           {"url", 1, (*story).get},
		"turn":          {"unit", 1, (*story).turn},
		"journal":       {"unit file", 2, (*story).journal},
		"log":           {"unit", 1, (*story).juju},
		"remains":       {"[elsewhere]", 0, (*story).remains},
		"refresh":       {"app", 1, (*story).refresh},
		"knowing":       {"file[#n]...", 1, (*story).knowing},
		"vault":         {"start|seal|unseal|kill|restart|end-tokens|secret-id|wrap|wrap-token|destroy [role [secret-id]]", 1, (*story).operateVault},
	} {
		commands[name] = func(ts *testscript.TestScript, negated bool, args []string) {
			if len(args) < command.min {
				ts.Fatalf("usage: %s %s", name, command.args)
			}
			for i, arg := range args { // @file, or name=@file: the content of one of the script's files
				name, file, found := strings.Cut(arg, "@")
				if found && (name == "" || strings.HasSuffix(name, "=")) {
					args[i] = name + strings.TrimSuffix(ts.ReadFile(file), "\n")
				}
			}
			s, ok := ts.Value(stageKey{}).(*story)
			if !ok {
				ts.Fatalf("the story has no stage")
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			var output bytes.Buffer
			err := command.run(s, ctx, &output, args)
			_, _ = ts.Stdout().Write(output.Bytes())
			switch {
			case err != nil && !negated:
				ts.Logf("%s", s.stage.log)
				for _, line := range s.stage.runner.Log() {
					ts.Logf("%s %s: %s", line.Unit, line.Level, line.Message)
				}
				ts.Fatalf("%s: %v", name, err)
			case err == nil && negated:
				ts.Fatalf("%s: succeeded, which it should not", name)
			case err != nil:
				_, _ = fmt.Fprintln(ts.Stderr(), err)
			}
		}
	}
	commands["at"] = func(ts *testscript.TestScript, negated bool, args []string) {
		s, ok := ts.Value(stageKey{}).(*story)
		if negated || len(args) != 1 || !ok {
			ts.Fatalf("usage: at unit")
		}
		ts.Setenv("SIGNET_STATE_DIR", s.stage.stateDir(args[0]))
		ts.Setenv("SIGNET_ROOT", s.stage.machineRoot(args[0]))
		ts.Setenv("AGENT_CONF", s.stage.controller.AgentConf(args[0]))
		ts.Setenv("PATH", filepath.Join(s.stage.dir, "tools")+":"+ts.Getenv("PATH"))
	}
	commands["free-port"] = freePort
	commands["set"] = setOutput
	return commands
}

func (s *story) deploy(_ context.Context, _ *bytes.Buffer, args []string) error {
	units, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	if a, scripted := s.actor(args[0]); scripted {
		return s.stage.addActor(args[0], a, units)
	}
	options, err := s.options(args[2:])
	if err != nil {
		return err
	}
	if err := s.stage.deploySignet(args[0], options); err != nil {
		return err
	}
	for range units {
		if _, err := s.stage.addSignetUnit(args[0]); err != nil {
			return err
		}
	}
	return nil
}

// deployCharm deploys a charm of the story's own, under its folder's name.
func (s *story) deployCharm(_ context.Context, _ *bytes.Buffer, args []string) error {
	dir := filepath.Join(s.work, args[0])
	units, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	meta, err := charmMeta(dir)
	if err != nil {
		return err
	}
	if err := s.stage.model().Deploy(args[0], meta); err != nil {
		return err
	}
	for range units {
		unit, err := s.stage.model().AddUnit(args[0])
		if err != nil {
			return err
		}
		if err := s.stage.runner.Attach(unit, sandbox.ProcessCharm{Dir: dir}); err != nil {
			return err
		}
	}
	return nil
}

// actor gives the scripted charm of a name; everything else is signet.
func (s *story) actor(app string) (actor, bool) {
	actors := map[string]actor{
		"etcd": etcd(), "kubernetes-control-plane": kubernetesControlPlane(), "kubernetes-worker": kubernetesWorker(),
		"k8s": s.requests, "plain": plainActor{}, "trusting": trustingActor{},
		"easyrsa": s.easyRSA, "self-signed": s.selfSigned, "refusing": s.refusing, "aged": s.aged,
	}
	a, found := actors[app]
	return a, found
}

// options types option values as their declarations say.
func (s *story) options(pairs []string) (map[string]any, error) {
	meta, err := charmMeta(s.stage.charmDir)
	if err != nil {
		return nil, err
	}
	options := map[string]any{}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		if file, named := strings.CutPrefix(value, "@"); named { // as Juju reads the value of an option from a file
			text, err := os.ReadFile(filepath.Join(s.work, file))
			if err != nil {
				return nil, err
			}
			value = string(text)
		}
		options[name] = value
		switch meta.Types[name] {
		case "boolean":
			options[name] = value == "true"
		case "int":
			if options[name], err = strconv.Atoi(value); err != nil {
				return nil, err
			}
		}
	}
	return options, nil
}

func (s *story) relate(_ context.Context, _ *bytes.Buffer, args []string) error {
	_, err := s.stage.model().Integrate(args[0], args[1])
	return err
}

func (s *story) unrelate(_ context.Context, _ *bytes.Buffer, args []string) error {
	app, endpoint, _ := strings.Cut(args[0], ":")
	other, _, _ := strings.Cut(args[1], ":")
	for _, relation := range s.stage.model().Relations(app) {
		if relation.Endpoint.Name == endpoint && relation.RemoteApp == other {
			return s.stage.model().RemoveRelation(relation.ID)
		}
	}
	return fmt.Errorf("%s and %s are not related", args[0], args[1])
}

func (s *story) addUnit(_ context.Context, _ *bytes.Buffer, args []string) error {
	var err error
	if a, scripted := s.actor(args[0]); scripted && !s.refreshed[args[0]] {
		err = s.stage.addActorUnit(args[0], a)
	} else {
		_, err = s.stage.addSignetUnit(args[0])
	}
	return err
}

func (s *story) removeUnit(_ context.Context, _ *bytes.Buffer, args []string) error {
	return s.stage.model().RemoveUnit(args[0])
}

// loseMachine takes a unit away without any of its hooks.
func (s *story) loseMachine(_ context.Context, _ *bytes.Buffer, args []string) error {
	s.stage.killAgent(args[0])
	s.stage.runner.Detach(args[0])
	return s.stage.model().RemoveUnit(args[0])
}

func (s *story) lead(_ context.Context, _ *bytes.Buffer, args []string) error {
	return s.stage.model().SetLeader(args[0])
}

func (s *story) config(_ context.Context, _ *bytes.Buffer, args []string) error {
	options, err := s.options(args[1:])
	if err != nil {
		return err
	}
	return s.stage.model().SetConfig(args[0], options)
}

func (s *story) startAgent(ctx context.Context, _ *bytes.Buffer, args []string) error {
	return s.stage.startAgent(ctx, args[0])
}

func (s *story) killAgent(_ context.Context, _ *bytes.Buffer, args []string) error {
	if s.stage.agents[args[0]] == nil {
		return fmt.Errorf("%s has no agent", args[0])
	}
	s.stage.killAgent(args[0])
	return nil
}

func (s *story) write(_ context.Context, _ *bytes.Buffer, args []string) error {
	relation, err := s.relationOf(args[0], args[1])
	if err != nil {
		return err
	}
	return s.stage.model().Commit(args[0], sandbox.Commit{
		Relations: []sandbox.BagChange{{RelationID: relation.ID, Unit: map[string]string{args[2]: args[3]}}},
	})
}

func (s *story) settle(ctx context.Context, _ *bytes.Buffer, _ []string) error {
	if len(s.stage.agents) == 0 {
		return s.stage.runner.Settle(ctx)
	}
	return s.stage.settle(ctx, func() error {
		for _, h := range s.holdings() {
			if _, err := h.verify(); err != nil {
				return fmt.Errorf("%s: %w", h.owner, err)
			}
		}
		return nil
	})
}

// await settles until a unit's status matches a pattern.
func (s *story) await(ctx context.Context, w *bytes.Buffer, args []string) error {
	pattern, err := regexp.Compile(args[1])
	if err != nil {
		return err
	}
	return s.stage.settle(ctx, func() error {
		w.Reset()
		if err := s.status(ctx, w, args[:1]); err != nil || pattern.Match(w.Bytes()) {
			return err
		}
		return fmt.Errorf("the status is %s", w)
	})
}

// chmodConf changes the mode of a unit's agent.conf, which is trusted only while nobody else may read it.
func (s *story) chmodConf(_ context.Context, _ *bytes.Buffer, args []string) error {
	mode, err := strconv.ParseUint(args[1], 8, 32)
	if err != nil {
		return err
	}
	return os.Chmod(s.stage.controller.AgentConf(args[0]), os.FileMode(mode))
}

func (s *story) bag(_ context.Context, w *bytes.Buffer, args []string) error {
	relation, err := s.relationOf(args[0], args[1])
	if err != nil {
		return err
	}
	bag := s.stage.model().AppBag(relation.ID, args[0])
	if strings.Contains(args[0], "/") {
		bag = s.stage.model().UnitBag(relation.ID, args[0])
	}
	for _, key := range slices.Sorted(maps.Keys(bag)) {
		switch {
		case len(args) > 2 && key == args[2]:
			fmt.Fprintln(w, bag[key])
		case len(args) == 2 && !slices.Contains([]string{"egress-subnets", "ingress-address", "private-address"}, key):
			fmt.Fprintf(w, "%s: %s\n", key, bag[key])
		}
	}
	return nil
}

func (s *story) status(_ context.Context, w *bytes.Buffer, args []string) error {
	status, err := s.stage.model().UnitStatus(args[0])
	fmt.Fprintf(w, "%s: %s\n", status.Level, status.Message)
	return err
}

func (s *story) hooks(_ context.Context, w *bytes.Buffer, args []string) error {
	for _, hook := range s.stage.runner.Hooks(args[0]) {
		fmt.Fprintln(w, hook)
	}
	s.stage.runner.ForgetEvents()
	return nil
}

func (s *story) files(_ context.Context, w *bytes.Buffer, args []string) error {
	root := filepath.Join(s.stage.stateDir(args[0]), "files")
	for _, bundle := range []string{"certificates", "received-ca"} {
		entries, err := os.ReadDir(filepath.Join(root, bundle) + "/") // the slash follows the bundle's symlink
		if err != nil {
			continue
		}
		for _, entry := range entries {
			info, err := entry.Info()
			if err != nil {
				return err
			}
			if !strings.HasPrefix(entry.Name(), ".") {
				fmt.Fprintf(w, "%s %s/%s\n", info.Mode(), bundle, entry.Name())
			}
		}
	}
	return nil
}

func (s *story) certificates(ctx context.Context, w *bytes.Buffer, _ []string) error {
	faulty, err := printInventory(ctx, w, s.holdings(), installedJudges())
	if faulty > 0 {
		return fmt.Errorf("%d certificates do not verify:\n%s", faulty, w)
	}
	return err
}

func (s *story) holdings() []holding {
	holdings := s.stage.inventory()
	for _, app := range s.stage.model().Applications() {
		for _, unit := range s.stage.model().Units(app) {
			dir := filepath.Join(s.stage.stateDir(unit), "files", "certificates")
			if _, err := os.Stat(dir); err == nil {
				holdings = append(holdings, installed(unit, dir)...)
			}
		}
	}
	return holdings
}

// relationOf finds the relation on an endpoint of a unit's or application's.
func (s *story) relationOf(who, endpoint string) (sandbox.RelationInfo, error) {
	name, with, _ := strings.Cut(endpoint, "=") // "certificates=etcd" when there are several
	for _, relation := range s.stage.model().Relations(juju.ApplicationOf(who)) {
		if relation.Endpoint.Name == name && (with == "" || relation.RemoteApp == with) {
			return relation, nil
		}
	}
	return sandbox.RelationInfo{}, fmt.Errorf("%s has no relation on %s", who, endpoint)
}

// plainActor is a charm that does nothing by itself.
type plainActor struct{}

func (plainActor) Hook(context.Context, *sandbox.HookContext) error { return nil }

func (plainActor) meta(app string) sandbox.CharmMeta { return legacyConsumer{}.meta(app) }

// trustingActor is a charm that takes CA certificates in version 1 of certificate_transfer.
type trustingActor struct{}

func (trustingActor) meta(app string) sandbox.CharmMeta {
	return sandbox.CharmMeta{Name: app, Endpoints: []juju.Endpoint{
		{Name: "receive-ca-cert", Interface: "certificate_transfer", Role: juju.Requires},
	}}
}

func (trustingActor) Hook(_ context.Context, hook *sandbox.HookContext) error {
	if hook.Info().Name != "receive-ca-cert-relation-created" {
		return nil
	}
	var leader bool
	if err := toolJSON(hook, &leader, "is-leader"); err != nil || !leader {
		return err
	}
	_, err := hook.Tool("relation-set", []string{"--app", "-r", keyOf(hook), "version=1"}, nil)
	return err
}
