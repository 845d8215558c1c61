// SPDX-License-Identifier: AGPL-3.0-only

package sandbox_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/sandbox"
)

func itoa(n int) string { return strconv.Itoa(n) }

// toolCase is one call of a hook tool, "relation-get -r 1 - web/0", and what it prints.
type toolCase struct {
	unit  string // default ca/0, the leader
	call  string
	args  []string // instead of call's, where they contain spaces
	stdin string
	want  string
	err   string
}

func TestHookToolsAnswerAsJujusDo(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]toolCase{
		"is-leader is smart by default":         {call: "is-leader", want: "True\n"},
		"is-leader in JSON":                     {call: "is-leader --format json", want: "true\n"},
		"another unit does not lead":            {unit: "ca/1", call: "is-leader --format=yaml", want: "false\n"},
		"an unknown format":                     {call: "is-leader --format xml", err: `invalid value "xml" for option --format: unknown format "xml"`},
		"an unknown option":                     {call: "is-leader --loud", err: "option provided but not defined: --loud"},
		"an unknown tool":                       {call: "is-boss", err: "unknown command: is-boss"},
		"config of one option":                  {call: "config-get days", want: "90\n"},
		"config of an option that is not set":   {call: "config-get unset --format json", want: "null\n"},
		"config without unset options":          {call: "config-get --format json", want: `{"days":90,"name":"one","strict":false}` + "\n"},
		"config with unset options":             {call: "config-get -a --format json", want: `{"days":90,"name":"one","strict":false,"unset":null}` + "\n"},
		"relation-ids":                          {call: "relation-ids certificates", want: "certificates:1\n"},
		"relation-ids of an endpoint without":   {call: "relation-ids other --format json", want: "[]\n"},
		"relation-ids needs an endpoint":        {call: "relation-ids", err: "no endpoint name specified"},
		"relation-list":                         {call: "relation-list -r certificates:1 --format json", want: `["web/0"]` + "\n"},
		"relation-list of the application":      {call: "relation-list -r 1 --app", want: "web\n"},
		"a relation that is not there":          {call: "relation-list -r 9", err: `invalid value "9" for option -r: relation not found`},
		"a relation that is none":               {call: "relation-list -r x:y", err: "invalid relation id"},
		"no relation":                           {call: "relation-list", err: "no relation id specified"},
		"a remote unit's databag":               {call: "relation-get -r 1 name web/0", want: "web_0\n"},
		"flags after arguments":                 {call: "relation-get name web/0 -r 1 --format json", want: `"web_0"` + "\n"},
		"a key that is not there":               {call: "relation-get -r 1 other web/0 --format json", want: "null\n"},
		"a remote application's databag":        {call: "relation-get -r 1 --app - web --format json", want: `{"app":"yes"}` + "\n"},
		"an application named without --app":    {call: "relation-get -r 1 - web", err: `expected unit name, got application name "web"`},
		"a name that is none":                   {call: "relation-get -r 1 - web/x/y", err: `invalid unit name "web/x/y"`},
		"nobody named":                          {call: "relation-get -r 1", err: "no unit or application specified"},
		"another unit of the own application":   {call: "relation-get -r 1 - ca/1", err: "permission denied"},
		"the own application's as the leader":   {call: "relation-get -r 1 --app - ca --format json", want: `{"chain":"PEMs"}` + "\n"},
		"the own application's as another unit": {unit: "ca/1", call: "relation-get -r 1 --app - ca", err: "permission denied"},
		"the peers' application databag":        {unit: "ca/1", call: "relation-get -r 0 --app - ca --format json", want: "{}\n"},
		"an application databag, not leading":   {unit: "ca/1", call: "relation-set -r 1 --app a=b", err: "cannot write relation settings"},
		"a setting that is none":                {call: "relation-set -r 1 a", err: `expected "key=value", got "a"`},
		"a setting given twice":                 {call: "relation-set -r 1 a=1 a=2", err: `key "a" specified more than once`},
		"settings that are no map":              {call: "relation-set -r 1 --file -", stdin: "[a]", err: "cannot unmarshal"},
		"settings from no standard input":       {call: "relation-set -r 1 --file -", err: "hook tool requires stdin, none supplied"},
		"the model on the other side":           {call: "relation-model-get -r 1", want: "uuid: "},
		"network-get of one address":            {call: "network-get certificates --bind-address", want: "10."},
		"network-get of all":                    {call: "network-get peers --format json", want: `{"bind-addresses":[{"mac-address"`},
		"network-get of no endpoint":            {call: "network-get other", err: `no network config found for binding "other"`},
		"unit-get":                              {call: "unit-get private-address", want: "10."},
		"unit-get of something else":            {call: "unit-get name", err: `unknown setting "name"`},
		"status-get":                            {call: "status-get", want: "waiting\n"},
		"status-get with data":                  {call: "status-get --include-data --format json", want: `{"message":"waiting for machine","status":"waiting","status-data":{}}`},
		"the application's status, not leading": {unit: "ca/1", call: "status-get --application", err: "finding application status"},
		"setting it, not leading":               {unit: "ca/1", call: "status-set --application active", err: "this unit is not the leader"},
		"a status that is none":                 {call: "status-set error", err: `invalid status "error", expected one of [maintenance blocked waiting active]`},
		"unit state, none":                      {call: "state-get --format json", want: "null\n"},
		"unit state, strictly":                  {call: "state-get --strict a", err: `"a" not found`},
		"unit state, too large":                 {call: "state-set", args: []string{"a=" + strings.Repeat("x", 64*1024+1)}, err: "max allowed value length (65536) exceeded"},
		"goal-state":                            {call: "goal-state --format json", want: `{"units":{"ca/0":{"status":"waiting","since":"20`},
		"ports":                                 {call: "open-port 80000/tcp", err: `invalid port range "80000/tcp"`},
		"too many arguments":                    {call: "relation-ids a b", err: `unrecognized args: ["b"]`},
		"secrets, none":                         {call: "secret-ids --format json", want: "null\n"},
		"a secret without content":              {call: "secret-add --label a", err: "missing secret value or filename"},
		"a secret's key too short":              {call: "secret-add ab=c", err: `key "ab" not valid`},
		"an application's secret, not leading":  {unit: "ca/1", call: "secret-add key=value", err: "this unit is not the leader"},
		"a secret of an owner that is none":     {call: "secret-add --owner model key=value", err: `secret owner "model" not valid`},
		"a secret that is not there":            {call: "secret-get secret:9m4e2mr0ui3e8a215n4g", err: "not found"},
		"a secret by nothing":                   {call: "secret-get", err: "require either a secret URI or label"},
		"a secret, peeked at and refreshed":     {call: "secret-get --label a --peek --refresh", err: "specify one of --peek or --refresh but not both"},
		"what is no URI":                        {call: "secret-get a:b:c", err: `secret URI "a:b:c" not valid`},
		"info of a secret that is not there":    {call: "secret-info-get --label a", err: `secret "a" not found`},
		"an action's parameters in a hook":      {call: "action-get a", err: "not running an action"},
		"leader settings, none":                 {unit: "ca/1", call: "leader-get --format json", want: "{}\n"},
		"one leader setting, none":              {call: "leader-get a --format json", want: "null\n"},
		"a leader setting with a value":         {call: "leader-get a=b", err: `invalid key "a=b"`},
		"setting leader settings, not leading":  {unit: "ca/1", call: "leader-set a=b", err: "cannot write leadership settings: cannot write settings: not the leader"},
		"a resource":                            {call: "resource-get image", err: `could not download resource: resource "image" not found`},
		"no resource":                           {call: "resource-get", err: "missing required resource name"},
		"storage, none":                         {call: "storage-list --format json", want: "[]\n"},
		"storage, not said which":               {call: "storage-get", err: "no storage instance specified"},
		"storage that is not there":             {call: "storage-get -s data/0", err: "storage not found"},
		"storage that cannot be":                {call: "storage-get -s data", err: `invalid storage ID "data"`},
		"no storage to add":                     {call: "storage-add", err: "storage add requires a storage directive"},
		"no storage of a kind to add":           {call: "storage-add data=0", err: `unrecognized storage constraint "0" not valid`},
		"the cloud's credentials":               {call: "credential-get", err: "cannot access cloud credentials: permission denied"},
		"the log without a message":             {call: "juju-log", err: "no message specified"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			out, err := toolInHook(t, c)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(out, c.want), out)
			if strings.HasSuffix(c.want, "\n") {
				require.Equal(t, c.want, out)
			}
		})
	}
}

// toolInHook runs one tool in an update-status hook of two ca units and one web unit.
func toolInHook(t *testing.T, c toolCase) (string, error) {
	t.Helper()
	s := newStage(t)
	var out []byte
	var failure error
	charm := sandbox.CharmFunc(func(_ context.Context, hook *sandbox.HookContext) error {
		if hook.Info().Name != "update-status" {
			return nil
		}
		words := strings.Fields(c.call)
		var stdin []byte
		if c.stdin != "" {
			stdin = []byte(c.stdin)
		}
		out, failure = hook.Tool(words[0], append(words[1:], c.args...), stdin)
		return nil
	})
	s.add(t, "ca", charm)
	s.add(t, "ca", charm)
	s.add(t, "web", sandbox.CharmFunc(func(_ context.Context, hook *sandbox.HookContext) error {
		if hook.Info().Name != "tls-relation-created" {
			return nil
		}
		if err := hook.RelationSet("", map[string]string{"name": "web_0"}); err != nil {
			return err
		}
		return hook.RelationSetApp("", map[string]string{"app": "yes"})
	}))
	id, err := s.Integrate("ca:certificates", "web:tls")
	require.NoError(t, err)
	require.Equal(t, 1, id)
	require.NoError(t, s.Commit("ca/0", sandbox.Commit{Relations: []sandbox.BagChange{{RelationID: id, App: map[string]string{"chain": "PEMs"}}}}))
	s.settle(t)
	unit := c.unit
	if unit == "" {
		unit = "ca/0"
	}
	require.NoError(t, s.RunHook(t.Context(), unit, "update-status"))
	return string(out), failure
}

// script runs tools one after the other in one hook of a lone ca unit, and gives what each printed.
func script(t *testing.T, s stage, unit string, calls ...[]string) ([]string, error) {
	t.Helper()
	var printed []string
	require.NoError(t, s.Attach(unit, sandbox.CharmFunc(func(_ context.Context, hook *sandbox.HookContext) error {
		if hook.Info().Name != "update-status" {
			return nil
		}
		for _, call := range calls {
			out, err := hook.Tool(call[0], call[1:], nil)
			printed = append(printed, string(out))
			if err != nil {
				return err
			}
		}
		return nil
	})))
	s.settle(t)
	return printed, s.RunHook(t.Context(), unit, "update-status")
}

func TestAHookSeesTheSecretsItHasWritten(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	unit := s.add(t, "ca", quiet())
	file := filepath.Join(t.TempDir(), "content.yaml")
	require.NoError(t, os.WriteFile(file, []byte("private-key: |\n  line one\n  line two\n"), 0o600))
	printed, err := script(t, s, unit,
		[]string{"secret-add", "--label", "authority", "--file", file},
		[]string{"secret-get", "--label", "authority", "--format", "json"},
		[]string{"secret-info-get", "--label", "authority"},
		[]string{"secret-add", "--owner", "unit", "--label", "node", "key-one=a", "key-two#base64=Yg=="},
		[]string{"secret-get", "--label", "node", "--format", "json"},
	)
	require.NoError(t, err)
	require.JSONEq(t, `{"private-key":"line one\nline two\n"}`, printed[1])
	require.Contains(t, printed[2], "label: authority\n  owner: application")
	require.JSONEq(t, `{"key-one":"a","key-two":"b"}`, printed[4])
	owned := s.Secrets("ca")
	require.Len(t, owned, 1)
	require.Len(t, s.Secrets(unit), 1)

	_, err = script(t, s, unit,
		[]string{"secret-set", owned[0].URI, "private-key=new"},
		[]string{"secret-set", owned[0].URI, "--description", "the authority's"},
		[]string{"secret-remove", s.Secrets(unit)[0].URI},
	)
	require.NoError(t, err)
	content, err := s.RevealSecret(owned[0].URI)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"private-key": "new"}, content)
	require.Equal(t, "the authority's", s.Secrets("ca")[0].Description)
	require.Equal(t, 2, s.Secrets("ca")[0].Latest)
	require.Empty(t, s.Secrets(unit))

	_, err = script(t, s, unit, []string{"secret-set", owned[0].URI, "private-key=new"})
	require.NoError(t, err)
	require.Equal(t, 2, s.Secrets("ca")[0].Latest, "the same content makes no new revision")
}

func TestASecretIsGrantedToARelation(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ca, web := s.add(t, "ca", quiet()), s.add(t, "web", quiet())
	id, err := s.Integrate("ca:certificates", "web:tls")
	require.NoError(t, err)
	s.settle(t)
	_, err = script(t, s, ca, []string{"secret-add", "--label", "shared", "key=value"})
	require.NoError(t, err)
	uri := s.Secrets("ca")[0].URI
	_, err = script(t, s, web, []string{"secret-get", uri})
	require.ErrorContains(t, err, "permission denied")
	_, err = script(t, s, ca, []string{"secret-grant", uri, "-r", itoa(id)})
	require.NoError(t, err)
	printed, err := script(t, s, web, []string{"secret-get", uri, "key"})
	require.NoError(t, err)
	require.Equal(t, []string{"value\n"}, printed)
	_, err = script(t, s, ca, []string{"secret-revoke", uri, "-r", itoa(id)})
	require.NoError(t, err)
	_, err = script(t, s, web, []string{"secret-get", uri})
	require.ErrorContains(t, err, "permission denied")
}

func TestStateAndPortsTakeEffectWithTheHook(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	unit := s.add(t, "ca", quiet())
	printed, err := script(t, s, unit,
		[]string{"state-set", "a=1", "b=2"}, []string{"state-delete", "b"}, []string{"state-get", "a"},
		[]string{"open-port", "443"}, []string{"open-port", "8000-8010/udp"}, []string{"opened-ports"},
		[]string{"application-version-set", "1.2"},
	)
	require.NoError(t, err)
	require.Equal(t, "1\n", printed[2])
	require.Empty(t, printed[5], "not yet")
	state, err := s.State(unit)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "1"}, state.Charm)
	printed, err = script(t, s, unit, []string{"opened-ports"})
	require.NoError(t, err)
	require.Equal(t, []string{"443/tcp\n8000-8010/udp\n"}, printed)
	version, err := s.WorkloadVersion(unit)
	require.NoError(t, err)
	require.Equal(t, "1.2", version)
}

func TestStorageThatTheCharmHasNotFailsTheHookInTheEnd(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	unit := s.add(t, "ca", quiet())
	_, err := script(t, s, unit, []string{"storage-add", "data=2"}, []string{"state-set", "a=1"})
	require.ErrorContains(t, err, `charm storage "data" not found`)
	state, err := s.State(unit)
	require.NoError(t, err)
	require.Empty(t, state.Charm)
}

func TestLeaderSettingsReachTheOtherUnits(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	leader, follower := s.add(t, "ca", quiet()), s.add(t, "ca", quiet())
	printed, err := script(t, s, leader, []string{"leader-get", "a"}, []string{"leader-set", "a=1", "b=2"}, []string{"leader-get", "a"})
	require.NoError(t, err)
	require.Equal(t, []string{"", "", "1\n"}, printed)
	s.ForgetEvents()
	s.settle(t)
	require.Equal(t, []string{"leader-settings-changed"}, s.Hooks(follower))
	require.Empty(t, s.Hooks(leader))
	printed, err = script(t, s, follower, []string{"leader-get", "--format", "json"})
	require.NoError(t, err)
	require.Equal(t, []string{`{"a":"1","b":"2"}` + "\n"}, printed)
}

func TestJuju4KnowsNoLeaderSettings(t *testing.T) {
	t.Parallel()
	s := stageOf(t, sandbox.Options{JujuVersion: "4.0.1"})
	_, err := script(t, s, s.add(t, "ca", quiet()), []string{"leader-get"})
	require.ErrorContains(t, err, "unknown command: leader-get")
}

func TestADepartedUnitsDatabagCanStillBeRead(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var read []string
	s.add(t, "ca", sandbox.CharmFunc(func(_ context.Context, hook *sandbox.HookContext) error {
		if hook.Info().Name != "certificates-relation-departed" {
			return nil
		}
		bag, err := hook.RelationGet("", "")
		if err != nil {
			return err
		}
		units, err := hook.RelationUnits("")
		read = append(read, append(units, bag["name"])...)
		return err
	}))
	web := s.add(t, "web", sandbox.CharmFunc(func(_ context.Context, hook *sandbox.HookContext) error {
		if hook.Info().Name != "tls-relation-created" {
			return nil
		}
		return hook.RelationSet("", map[string]string{"name": hook.Unit()})
	}))
	for range 11 {
		s.add(t, "web", quiet())
	}
	_, err := s.Integrate("ca:certificates", "web:tls")
	require.NoError(t, err)
	s.settle(t)
	require.NoError(t, s.RemoveUnit(web))
	s.settle(t)
	require.Equal(t, []string{
		"web/1", "web/10", "web/11", "web/2", "web/3", "web/4", "web/5", "web/6", "web/7", "web/8", "web/9", web,
	}, read)
}

func TestAModelWithoutSecretsDoesNotKnowTheirTools(t *testing.T) {
	t.Parallel()
	s := stageOf(t, sandbox.Options{NoSecrets: true, JujuVersion: "2.9.51"})
	_, err := script(t, s, s.add(t, "ca", quiet()), []string{"secret-ids"})
	require.ErrorContains(t, err, "unknown command: secret-ids")
}

// stageOf is an application "ca" in a sandbox of another kind.
func stageOf(t *testing.T, options sandbox.Options) stage {
	t.Helper()
	controller, err := sandbox.Start(options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, controller.Close()) })
	runner, err := sandbox.NewRunner(controller.Model(), sandbox.RunnerOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, runner.Close()) })
	require.NoError(t, controller.Model().Deploy("ca", sandbox.CharmMeta{Name: "ca"}))
	return stage{controller.Model(), runner}
}
