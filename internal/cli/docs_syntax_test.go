// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"
)

// Whatever command a document names must be there, also where no test can run it: commands of Juju and of signet with
// their flags, and signet's options, actions, parameters and endpoints.
func TestCommandsInTheDocumentsAreThere(t *testing.T) {
	t.Parallel()
	checker := newDocumentChecker(t)
	checked := 0
	for _, p := range pages(t) {
		for _, command := range p.commands() {
			checked++
			require.NoError(t, checker.check(command), "%s: %s", p.name, command)
		}
		for _, pair := range p.settings() {
			require.Contains(t, checker.settings, pair, "%s: `%s=`", p.name, pair)
		}
	}
	require.Greater(t, checked, 150, "no commands found: the test looks in the wrong place")
}

// Commands of Juju stand in blocks that are run, or in such as say that they need a real one.
func TestBlocksThatAreNotRunSayThatTheyNeedARealJuju(t *testing.T) {
	t.Parallel()
	held := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			hasJuju := slices.ContainsFunc(b.lines, func(line string) bool {
				return strings.HasPrefix(strings.TrimPrefix(line, "$ "), "juju ")
			})
			if !hasJuju || b.language == "console" {
				continue
			}
			held++
			require.Equal(t, "shell", b.language, "%s:%d", p.name, b.line)
			require.Contains(t, strings.Join(strings.Fields(p.above(b)), " "), "real Juju", "%s:%d: say in the section that it needs a real Juju", p.name, b.line)
		}
	}
	require.Greater(t, held, 10)
}

// With a terminal for its input, juju ssh has one on the machine too, which writes CR LF for LF and the errors into what is kept.
func TestWhatIsKeptOfAMachineIsWhole(t *testing.T) {
	t.Parallel()
	kept := 0
	for _, p := range pages(t) {
		for _, line := range regexp.MustCompile(`juju ssh [^\n>|]*[>|]`).FindAllString(p.text, -1) {
			kept++
			require.Contains(t, line, "juju ssh --pty=false ", p.name)
		}
	}
	require.Greater(t, kept, 2)
}

// above is the text of a block's section, down to the block.
func (p document) above(b block) string {
	lines := strings.Split(p.text, "\n")[:b.line]
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.HasPrefix(lines[i], "#") && !strings.HasPrefix(lines[i], "#!") || i == 0 {
			return strings.Join(lines[i:], "\n")
		}
	}
	return ""
}

// commands gives each command of juju and signet in a page, in blocks and in the text.
func (p document) commands() []string {
	var lines []string
	for _, c := range p.session() {
		lines = append(lines, c.command)
	}
	for _, b := range p.blocks {
		if b.language == "shell" {
			lines = append(lines, strings.Split(strings.ReplaceAll(strings.Join(b.lines, "\n"), "\\\n", " "), "\n")...)
		}
	}
	prose := regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(p.text, "")
	for _, span := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(prose, -1) {
		lines = append(lines, strings.ReplaceAll(span[1], "\n", " "))
	}
	var found []string
	for _, line := range lines {
		for _, one := range simpleCommands(line) {
			if regexp.MustCompile(`^(juju|signet) [a-z]`).MatchString(one) {
				found = append(found, one)
			}
		}
	}
	return found
}

// settings gives the names before "=" of what the text shows as option or parameter: `policy=strict`.
func (p document) settings() []string {
	var found []string
	for _, match := range regexp.MustCompile("`([a-z][a-z_-]*)=[^`]*`").FindAllStringSubmatch(p.text, -1) {
		found = append(found, match[1])
	}
	return found
}

// simpleCommands takes a line of shell apart: at pipes and the like, and what is substituted stands alone too.
func simpleCommands(line string) []string {
	var found []string
	for _, inner := range regexp.MustCompile(`\$\(([^()]*)\)`).FindAllStringSubmatch(line, -1) {
		found = append(found, simpleCommands(inner[1])...)
	}
	line = regexp.MustCompile(`\$\([^()]*\)`).ReplaceAllString(line, "X")
	var words []string
	end := func() {
		if len(words) > 0 {
			found = append(found, strings.Join(words, " "))
		}
		words = nil
	}
	for _, word := range regexp.MustCompile(`(?:[^\s"']|"[^"]*"|'[^']*')+`).FindAllString(line, -1) {
		switch {
		case word == "|" || word == "&&" || word == ";" || word == "||":
			end()
		case strings.HasPrefix(word, "#"):
			end()
			return found
		case strings.HasPrefix(word, ">") || strings.HasPrefix(word, "2>"):
		default:
			words = append(words, strings.TrimPrefix(word, "dist/"))
		}
	}
	end()
	return found
}

// documentChecker knows what there is.
type documentChecker struct {
	options   map[string]map[string]bool // by charm
	actions   *charm.Actions
	endpoints map[string]map[string]bool // by application of the documents
	settings  []string                   // options and parameters
	program   *program
	sandbox   *sandboxJuju
}

func newDocumentChecker(t *testing.T) documentChecker {
	t.Helper()
	c := documentChecker{options: map[string]map[string]bool{}, endpoints: map[string]map[string]bool{
		"etcd": {"certificates": true}, "kubernetes-control-plane": {"certificates": true, "kube-control": true},
		"kubernetes-worker": {"certificates": true, "juju-info": true}, "kubeapi-load-balancer": {"certificates": true}, "k8s": {"certificates": true},
	}}
	for name, folder := range map[string]string{"signet": "../..", nodeCharm: "../../charms/node"} {
		meta, err := charmMeta(folder)
		require.NoError(t, err)
		c.options[name], c.endpoints[name] = map[string]bool{}, map[string]bool{}
		for option := range meta.Config {
			c.options[name][option] = true
			c.settings = append(c.settings, option)
		}
		for _, endpoint := range meta.Endpoints {
			c.endpoints[name][endpoint.Name] = true
		}
	}
	for _, other := range []string{"root", "again", "easyrsa"} { // signets under other names
		c.endpoints[other], c.options[other] = c.endpoints["signet"], c.options["signet"]
	}
	file, err := os.Open(filepath.Join("..", "..", "actions.yaml"))
	require.NoError(t, err)
	defer file.Close()
	c.actions, err = charm.ReadActionsYaml("signet", file)
	require.NoError(t, err)
	for _, spec := range c.actions.ActionSpecs {
		c.settings = append(c.settings, parameters(spec)...)
	}
	c.settings = append(c.settings, "arch") // a constraint of Juju's
	c.program = &program{args: []string{"signet"}, lookup: os.Getenv, stdout: io.Discard, stderr: io.Discard}
	c.sandbox = &sandboxJuju{}
	return c
}

func parameters(spec charm.ActionSpec) []string {
	properties, _ := spec.Params["properties"].(map[string]any)
	var names []string
	for name := range properties {
		names = append(names, name)
	}
	return names
}

// realVerbs are commands of Juju that the sandbox has not, with the flags that documents use.
func realVerbs() map[string][]string {
	return map[string][]string{
		"exec": {"application", "unit"}, "model-config": {}, "resolved": {}, "show-unit": {}, "show-status-log": {},
	}
}

// check reports what of a command is not there.
func (c documentChecker) check(command string) error {
	words := strings.Fields(command)
	for i, word := range words {
		words[i] = strings.Trim(word, `"'`)
	}
	if words[0] == "signet" {
		return c.checkSignet(words[1:])
	}
	flags, args := []string{}, []string{}
	for _, word := range words[2:] {
		if name, isFlag := strings.CutPrefix(word, "--"); isFlag {
			name, _, _ = strings.Cut(name, "=")
			flags = append(flags, name)
			continue
		}
		args = append(args, word)
	}
	if known, found := realVerbs()[words[1]]; found {
		for _, flag := range flags {
			if flag != "" && !slices.Contains(known, flag) {
				return fmt.Errorf("juju %s --%s is not known to this test", words[1], flag)
			}
		}
		return nil
	}
	verb, _, err := c.sandbox.root("", io.Discard).Find(words[1:2])
	if err != nil {
		return err
	}
	for _, flag := range flags {
		known := map[string][]string{"ssh": {"pty"}, "status": {"relations"}, "config": {"reset"}}[words[1]]
		if words[1] != "ssh" && verb.Flags().Lookup(flag) == nil && !slices.Contains(known, flag) {
			return fmt.Errorf("juju %s --%s is not known to this test", words[1], flag)
		}
	}
	return c.checkArguments(words[1], args, words)
}

func (c documentChecker) checkArguments(verb string, args, words []string) error {
	switch verb {
	case "run":
		return c.checkRun(args)
	case "config":
		options, ours := c.options[args[0]]
		for _, arg := range args[1:] {
			if name, _, _ := strings.Cut(arg, "="); ours && !options[name] && isOption(name) {
				return fmt.Errorf("%s has no option %q", args[0], name)
			}
		}
	case "deploy":
		options, ours := c.options[charmNamed(args[0])]
		for i, word := range words {
			value, joined := strings.CutPrefix(word, "--config=")
			if word == "--config" {
				value, joined = words[i+1], true
			}
			if name, _, _ := strings.Cut(value, "="); joined && ours && !options[name] {
				return fmt.Errorf("%s has no option %q", args[0], name)
			}
		}
	case "integrate", "remove-relation":
		for _, end := range args {
			app, endpoint, named := strings.Cut(end, ":")
			if endpoints, known := c.endpoints[app]; named && known && !endpoints[endpoint] {
				return fmt.Errorf("%s has no endpoint %q", app, endpoint)
			}
		}
	}
	return nil
}

// isOption tells an option's name from a value's later words and from placeholders.
func isOption(name string) bool { return regexp.MustCompile(`^[a-z][a-z_-]+$`).MatchString(name) }

func (c documentChecker) checkRun(args []string) error {
	if len(args) < 2 || args[1] == "ACTION" || strings.HasPrefix(args[0], "easyrsa/") && args[1] == "backup" {
		return nil // a pattern, or an action of EasyRSA's
	}
	spec, known := c.actions.ActionSpecs[args[1]]
	if !known {
		return fmt.Errorf("there is no action %q", args[1])
	}
	for _, arg := range args[2:] {
		if name, _, found := strings.Cut(arg, "="); found && isOption(name) && !slices.Contains(parameters(spec), name) {
			return fmt.Errorf("action %s has no parameter %q", args[1], name)
		}
	}
	return nil
}

func (c documentChecker) checkSignet(words []string) error {
	command, rest, err := c.program.root().Find(words)
	if err != nil {
		return err
	}
	if command.HasSubCommands() && len(rest) > 0 && regexp.MustCompile(`^[a-z]+$`).MatchString(rest[0]) {
		return fmt.Errorf("%s has no command %q", command.CommandPath(), rest[0])
	}
	for _, word := range rest {
		name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		switch {
		case strings.HasPrefix(word, "--") && command.Flags().Lookup(name) == nil && command.InheritedFlags().Lookup(name) == nil && name != "help",
			strings.HasPrefix(word, "-") && len(word) == 2 && command.Flags().ShorthandLookup(name) == nil:
			return fmt.Errorf("%s has no flag %q", command.CommandPath(), word)
		case command.Name() == "shell":
			return nil
		}
	}
	return nil
}

func TestACommandThatIsNotThereIsFound(t *testing.T) {
	t.Parallel()
	checker := newDocumentChecker(t)
	for sentence, c := range map[string]struct{ command, want string }{
		"an action":                    {"juju run signet/leader rotate-ca step=plan", ""},
		"no action":                    {"juju run signet/leader explode", `no action "explode"`},
		"no parameter":                 {"juju run signet/leader revoke who=etcd/0", `no parameter "who"`},
		"an option":                    {"juju config signet policy=open", ""},
		"no option":                    {"juju config signet polity=open", `no option "polity"`},
		"no option of the node's":      {"juju config signet-node policy=open", `no option "policy"`},
		"another charm's option":       {"juju config etcd channel=3.4/stable", ""},
		"no option at deployment":      {"juju deploy ./dist/signet_amd64.charm --config polity=open", `no option "polity"`},
		"an endpoint":                  {"juju integrate signet:client etcd", ""},
		"no endpoint":                  {"juju integrate signet:clients etcd", `no endpoint "clients"`},
		"no endpoint of another":       {"juju integrate signet:client etcd:db-certificates", `no endpoint "db-certificates"`},
		"no command of Juju":           {"juju explode signet", `unknown command "explode"`},
		"no flag of Juju":              {"juju remove-unit signet/0 --softly", "--softly is not known"},
		"a command of Juju, unchecked": {"juju resolved etcd/0", ""},
		"a command":                    {"signet audit tail -n 3", ""},
		"no command":                   {"signet audit erase", `no command "erase"`},
		"none at all":                  {"signet explode", `no command "explode"`},
		"no flag":                      {"signet audit verify --softly", `no flag "--softly"`},
		"no short flag":                {"signet audit verify -x", `no flag "-x"`},
		"the shell's arguments":        {"signet sandbox shell bash -c x", ""},
	} {
		err := checker.check(c.command)
		if c.want == "" {
			require.NoError(t, err, sentence)
		} else {
			require.ErrorContains(t, err, c.want, sentence)
		}
	}
	require.Equal(t, []string{"juju config a b", `juju run "c d" X`, "sed e"}, simpleCommands(`juju run "c d" $(juju config a b) 2>x | sed e >f # g`))
	p := readPage("x", "a `juju b\nc` `d=e` `F=g`\n\n```shell\njuju h \\\n  i\n```\n\n```yaml\njuju j\n```\n\n```console\n$ X=$(juju k)\nl\n```\n")
	require.Equal(t, []string{"juju k", "juju h i", "juju b c"}, p.commands())
	require.Equal(t, []string{"d"}, p.settings())
}
