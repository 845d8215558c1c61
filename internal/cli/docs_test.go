// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/sandbox"
)

// The documents' blocks that begin with ```console are sessions in the sandbox's shell: a line after "$ " is typed, and
// what follows is what comes of it, where "…" stands for anything, also for lines. A command may fail if the page shows
// that it does. A comment "<!-- setup" has lines that come first: commands, or "remains" and "vault start" as in a story.

// document is one page.
type document struct {
	name   string
	setup  []string
	blocks []block
	text   string
}

type block struct {
	language string
	line     int
	before   string // the last line of text before it
	lines    []string
}

// typed is one command of a page and what the page says comes of it.
type typedCommand struct {
	line    int
	command string
	output  []string
}

// pages reads all documents of the checkout.
func pages(t *testing.T) []document {
	t.Helper()
	tree := os.DirFS("../..")
	names := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "charms/node/README.md", "terraform/README.md", "bundle/README.md"}
	require.NoError(t, fs.WalkDir(tree, "docs", func(name string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".md") {
			names = append(names, name)
		}
		return err
	}))
	found := make([]document, 0, len(names))
	for _, name := range names {
		text, err := fs.ReadFile(tree, name)
		require.NoError(t, err)
		found = append(found, readPage(name, string(text)))
	}
	return found
}

func readPage(name, text string) document {
	p := document{name: name, text: text}
	inSetup, open := false, false
	before, indent := "", "" // of a block in a list
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case open && trimmed == "```":
			open = false
		case open:
			last := &p.blocks[len(p.blocks)-1]
			last.lines = append(last.lines, strings.TrimPrefix(line, indent))
		case strings.HasPrefix(trimmed, "```"):
			open, indent = true, line[:strings.Index(line, "```")]
			p.blocks = append(p.blocks, block{language: strings.TrimPrefix(trimmed, "```"), line: i + 1, before: before})
		case trimmed == "<!-- setup":
			inSetup = true
		case inSetup && trimmed == "-->":
			inSetup = false
		case inSetup:
			p.setup = append(p.setup, trimmed)
		case trimmed != "":
			before = trimmed
		}
	}
	return p
}

// session gives the commands of the page's console blocks.
func (p document) session() []typedCommand {
	var found []typedCommand
	for _, b := range p.blocks {
		if b.language != "console" {
			continue
		}
		continued := false
		for i, line := range b.lines {
			last := len(found) - 1
			switch command, typed := strings.CutPrefix(line, "$ "); {
			case continued:
				found[last].command += "\n" + line
				continued = strings.HasSuffix(line, `\`)
			case typed:
				found = append(found, typedCommand{line: b.line + i + 1, command: command})
				continued = strings.HasSuffix(command, `\`)
			case last >= 0:
				found[last].output = append(found[last].output, line)
			}
		}
	}
	return found
}

// fails reports whether the page shows a failure.
func (c typedCommand) fails() bool {
	return slices.ContainsFunc(c.output, func(line string) bool {
		return strings.HasPrefix(line, "ERROR ") || strings.HasPrefix(line, "signet: ") || strings.HasPrefix(line, "Action id ")
	})
}

// shows reports whether what came is what the page shows. How far columns are apart does not matter.
func (c typedCommand) shows(came string) bool {
	wanted := strings.TrimSpace(strings.Join(c.output, "\n"))
	if wanted == "" {
		return true
	}
	pattern := regexp.QuoteMeta(wanted)
	pattern = regexp.MustCompile(`[ \t]+`).ReplaceAllString(pattern, `[ \t]+`)
	pattern = regexp.MustCompile(`(^|\n)…(\n|$)`).ReplaceAllString(pattern, "(?s:.*)")
	pattern = strings.ReplaceAll(pattern, "…", `[^\n]*`)
	return regexp.MustCompile(`^\s*` + pattern + `\s*$`).MatchString(came)
}

func TestBlocksOfTheDocumentsDoWhatTheySay(t *testing.T) {
	t.Parallel()
	played := 0
	for _, p := range pages(t) {
		if len(p.session()) == 0 {
			continue
		}
		played++
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.play(t)
		})
	}
	require.GreaterOrEqual(t, played, 6, "no sessions found: the test looks in the wrong place")
}

// play types a page's commands into one shell.
func (p document) play(t *testing.T) {
	for _, c := range p.session() {
		if _, err := exec.LookPath("openssl"); err != nil && strings.Contains(c.command, "openssl ") {
			t.Skip("the page uses OpenSSL, which is not installed")
		}
	}
	dir, err := os.MkdirTemp("", "signet-") //nolint:usetesting // paths of sockets are short, and the test's folder is deep
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	s, err := openStage(root, dir, nil, sandbox.Options{ModelName: "sandbox"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.close()) })
	s.env = []string{"GORACE=atexit_sleep_ms=0"}
	told := &story{stage: s, work: t.TempDir(), requests: newRequestConsumer(), refreshed: map[string]bool{}, removed: map[string]string{}, t: t, ends: t.Cleanup}
	require.NoError(t, os.Symlink(filepath.Join(root, "bundle"), filepath.Join(told.work, "bundle")))
	require.NoError(t, os.WriteFile(filepath.Join(told.work, "script"), []byte(p.script(t, told)), 0o600))

	var said bytes.Buffer
	shell := &program{args: []string{"signet"}, lookup: os.Getenv, stdin: strings.NewReader(""), stdout: &said, stderr: &said}
	bash, err := exec.LookPath("bash")
	require.NoError(t, err)
	require.NoError(t, shell.runShell(context.Background(), newSandboxJuju(s), []string{bash, filepath.Join(told.work, "script")}), said.String())
	for i, c := range p.session() {
		name := filepath.Join(told.work, fmt.Sprint("said.", i))
		came, err := os.ReadFile(name)
		require.NoError(t, err, "%s:%d was not reached", p.name, c.line)
		code, err := os.ReadFile(name + ".code")
		require.NoError(t, err)
		require.Equal(t, c.fails(), string(code) != "0\n", "%s:%d: $ %s\n%s", p.name, c.line, c.command, came)
		require.True(t, c.shows(string(came)), "%s:%d: $ %s\n%s", p.name, c.line, c.command, came)
	}
	require.NoError(t, told.sweep())
}

// script is the page as a script, which keeps what each command printed and its exit code.
func (p document) script(t *testing.T, told *story) string {
	var script strings.Builder
	fmt.Fprintf(&script, "cd %q || exit 1\nset -o pipefail\n", told.work)
	for _, line := range p.setup {
		switch line {
		case "remains":
			require.NoError(t, told.remains(context.Background(), nil, nil))
		case "vault start":
			var address bytes.Buffer
			require.NoError(t, told.operateVault(context.Background(), &address, []string{"start"}))
			fmt.Fprintf(&script, "export VAULT_ADDR=%s\n", &address)
		default:
			fmt.Fprintf(&script, "%s || exit 1\n", line)
		}
	}
	for i, c := range p.session() {
		onFailure := "exit 0"
		if c.fails() {
			onFailure = "true"
		}
		fmt.Fprintf(&script, "{ %s\n} >said.%d 2>&1 </dev/null; code=$?; echo $code >said.%d.code; [ $code = 0 ] || %s\n", c.command, i, i, onFailure)
	}
	return script.String()
}

func TestASessionThatSaysSomethingElseIsFound(t *testing.T) {
	t.Parallel()
	const text = "Say:\n\n<!-- setup\nhere\n-->\n\n```console\n$ one \\\n    two\na  b\n$ three\nERROR no\n```\n\n```shell\njuju four\n```\n"
	p := readPage("x", text)
	require.Equal(t, []string{"here"}, p.setup)
	require.Equal(t, "Say:", p.blocks[0].before)
	session := p.session()
	require.Len(t, session, 2)
	require.Equal(t, "one \\\n    two", session[0].command)
	require.False(t, session[0].fails())
	require.True(t, session[1].fails())
	for sentence, c := range map[string]struct {
		shown, came string
		want        bool
	}{
		"the same":                       {"a b\nc", "a b\nc\n", true},
		"columns further apart":          {"a b", "a    b\n", true},
		"nothing shown":                  {"", "whatever", true},
		"another word":                   {"a b", "a c\n", false},
		"a line more":                    {"a b", "a b\nc\n", false},
		"a line less":                    {"a b\nc", "a b\n", false},
		"anything in a line":             {"a …", "a b c\n", true},
		"anything, but in one line":      {"a … d", "a b\nd\n", false},
		"any lines":                      {"a\n…\nd", "a\nb\nc\nd\n", true},
		"no lines where any may be":      {"a\n…\nd", "a\nd\n", true},
		"any lines at the beginning":     {"…\nd", "a\nd\n", true},
		"any lines at the end":           {"a\n…", "a\nb\n", true},
		"any lines, and what they miss":  {"…\nd\n…", "a\nb\n", false},
		"signs that patterns give sense": {"a (b) [c]*", "a (b) [c]*\n", true},
	} {
		shown := typedCommand{output: strings.Split(c.shown, "\n")}
		require.Equal(t, c.want, shown.shows(c.came), sentence)
	}
}

func TestTheSandboxesShell(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		script, want, wrong string
	}{
		"an unknown charm":             {"juju deploy vault", `ERROR charm "vault" not found`, "exit status 1"},
		"an unknown command":           {"juju destroy-everything", `ERROR unknown command "destroy-everything"`, "exit status 1"},
		"an option that is none":       {"juju deploy signet; juju config signet x=1", `option "x" not found`, "exit status 1"},
		"an action that is none":       {"juju deploy signet; juju run signet/leader explode", `action "explode" not defined`, "exit status 1"},
		"a parameter that is none":     {"juju deploy signet; juju run signet/leader revoke x=1", `additional property "x"`, "exit status 1"},
		"an action that fails":         {"juju deploy signet; juju run signet/leader revoke", "Action id 2 failed: say what to revoke", "exit status 1"},
		"all options":                  {"juju deploy signet --config policy=open; juju config signet >c; echo '{\"unit_name\": \"a_0\", \"common_name\": \"*.b.c\"}' >r; signet policy check --app a --config c r", "allowed by: open", ""},
		"all actions":                  {"juju deploy signet; juju actions signet; juju actions signet --schema", "rotate-ca", ""},
		"no actions":                   {"juju deploy etcd; juju actions etcd", "no actions defined", "exit status 1"},
		"an option that is no number":  {"juju deploy signet; juju config signet requests-per-unit=many", "option \"requests-per-unit\"", "exit status 1"},
		"roots' files by scp":          {"juju deploy signet; juju scp signet/0:/var/lib/signet/signet-0/journal .", "Permission denied", "exit status 1"},
		"a charm that says its name":   {"juju deploy ./dist/signet-node_arm64.charm; juju status", "signet-node/0*", ""},
		"two endpoints that fit":       {"juju deploy signet; juju deploy etcd; juju integrate signet etcd", "ambiguous relation", "exit status 1"},
		"the one that fits":            {"juju deploy signet; juju deploy etcd; juju integrate etcd signet:client; juju status etcd", "ready with 2 certificates", ""},
		"nobody signs":                 {"juju deploy etcd; juju status", "no certificate authority is related", ""},
		"a program that is not there":  {"juju deploy signet; juju ssh signet/0 sudo reboot", "have no program reboot", "exit status 1"},
		"signet on a unit":             {"juju deploy signet; juju ssh signet/0 sudo signet version", "FIPS 140-3 mode", ""},
		"signet beside it":             {"signet version", "FIPS 140-3 mode", ""},
		"the node under another name":  {"juju deploy signet-node other", "under its own name", "exit status 1"},
		"what is outside of the shell": {"unset SIGNET_SANDBOX; signet sandbox certificates", "run signet sandbox shell", "exit status 1"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			var said bytes.Buffer
			shell := &program{args: []string{"signet"}, lookup: os.Getenv, stdin: strings.NewReader(""), stdout: &said, stderr: &said}
			err := shell.withStage("../..", io.Discard, func(s *stage) error {
				return shell.runShell(context.Background(), newSandboxJuju(s), []string{"sh", "-c", "cd " + t.TempDir() + "; " + c.script})
			})
			require.Contains(t, said.String(), c.want)
			if c.wrong == "" {
				require.NoError(t, err, said.String())
			} else {
				require.ErrorContains(t, err, c.wrong)
			}
		})
	}
}
