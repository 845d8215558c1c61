// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/view"
)

// say runs the program as a person does.
func say(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, said bytes.Buffer
	p := &program{
		args: append([]string{"signet"}, args...), lookup: func(name string) string { return env[name] },
		stdin: strings.NewReader(""), stdout: &out, stderr: &said,
	}
	code = p.run(context.Background())
	return code, out.String(), said.String()
}

// A script tells by the exit code whether there is nothing wrong, something wrong, or nothing known.
func TestExitCodesOfCommandsThatRead(t *testing.T) {
	t.Parallel()
	empty, absent := t.TempDir(), filepath.Join(t.TempDir(), "absent")
	damaged := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(damaged, "journal"), 0o700))
	reading := [][]string{
		{"status"}, {"certs", "list"}, {"certs", "verify"}, {"expiring"}, {"requests", "list"}, {"ca", "show"},
	}
	for _, command := range reading {
		for sentence, c := range map[string]struct {
			args []string
			code int
		}{
			"a unit that has nothing":          {[]string{"--state-dir", empty}, 0},
			"a folder that is not there":       {[]string{"--state-dir", absent}, 3},
			"a record that cannot be read":     {[]string{"--state-dir", damaged}, 3},
			"an output that there is not":      {[]string{"--state-dir", empty, "-o", "xml"}, 2},
			"a flag that there is not":         {[]string{"--state-dir", empty, "--frobnicate"}, 2},
			"a machine without units":          {nil, 2},
			"its help":                         {[]string{"--help"}, 0},
			"nothing, as YAML":                 {[]string{"--state-dir", empty, "-o", "yaml"}, 0},
			"nothing, as JSON without headers": {[]string{"--state-dir", empty, "-o", "json", "--no-headers"}, 0},
		} {
			code, _, said := say(t, nil, append(command, c.args...)...)
			require.Equal(t, c.code, code, "%s, %s: %s", strings.Join(command, " "), sentence, said)
		}
	}
	for sentence, c := range map[string]struct {
		args []string
		code int
	}{
		"a certificate that there is not": {[]string{"certs", "show", "nobody"}, 1},
		"a request that there is not":     {[]string{"requests", "explain", "nobody"}, 1},
		"no CA to print":                  {[]string{"ca", "show", "--pem"}, 1},
		"no certificate named":            {[]string{"certs", "show"}, 2},
		"a code":                          {[]string{"requests", "explain", "malformed"}, 0},
		"a state that there is not":       {[]string{"certs", "list", "--state", "lost"}, 2},
		"an outcome that there is not":    {[]string{"requests", "list", "--outcome", "lost"}, 2},
		"no duration":                     {[]string{"expiring", "--within", "soon"}, 2},
		"a format that there is not":      {[]string{"certs", "export", "ca", "--format", "gif"}, 2},
		"a key to the terminal":           {[]string{"certs", "export", "server", "--key"}, 2},
	} {
		args := append(c.args, "--state-dir", empty)
		code, _, said := say(t, nil, args...)
		require.Equal(t, c.code, code, "%s: %s", sentence, said)
	}
}

// Every command that reads says in its help what its exit codes mean.
func TestExitCodesAreDocumented(t *testing.T) {
	t.Parallel()
	found := 0
	for _, path := range [][]string{
		{"status"}, {"certs", "list"}, {"certs", "show"}, {"certs", "export"}, {"certs", "verify"}, {"expiring"}, {"requests", "list"},
		{"requests", "explain"}, {"ca", "show"}, {"audit", "tail"}, {"audit", "verify"},
	} {
		_, help, _ := say(t, nil, append(path, "--help")...)
		for _, code := range []string{"0 when", "1 when", "2 for wrong usage", "3 when"} {
			require.Contains(t, strings.ReplaceAll(help, "\n", " "), code, strings.Join(path, " "))
		}
		found++
	}
	require.Equal(t, 11, found)
}

// What pages show as code is plain on a terminal.
func TestACodeIsExplainedInPlainWords(t *testing.T) {
	t.Parallel()
	require.Len(t, explanations(), len(dialect.Codes()))
	one, known := explain("dialect-off")
	require.True(t, known)
	require.Equal(t, "upgrade the charm to one that sends signing requests, or set legacy-dialect=true", one.Next)
	for _, one := range explanations() {
		require.NotContains(t, one.Meaning+one.Next, "`", one.Code)
	}
	_, known = explain("no-such")
	require.False(t, known)
}

// sample is a row with what others could write to harm who reads.
type sample struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

func sampleColumns() []column[sample] {
	return []column[sample]{
		{name: "the-name", text: func(one sample) string { return one.Name }, paint: func(sample) colour { return red }},
		{name: "at", wide: true, text: func(one sample) string { return instant(one.At) }},
	}
}

func TestRowsInEachFormat(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	rows := []sample{{"plain", at}, {"=cmd()\n\x1b[2Jevil", at}, {"", time.Time{}}}
	written := func(format string, noHeaders bool) string {
		var out bytes.Buffer
		p := &program{lookup: func(string) string { return "" }, stdout: &out}
		require.NoError(t, show(p, output{format: format, noHeaders: noHeaders}, sampleColumns(), rows))
		return out.String()
	}
	require.Equal(t, "THE NAME\nplain\n", strings.Join(strings.SplitAfter(written("table", false), "\n")[:2], ""))
	require.NotContains(t, written("table", true), "THE NAME")
	require.Contains(t, written("wide", false), "2026-11-26T12:00:00Z")
	for _, format := range []string{"table", "wide", "csv"} {
		require.NotContains(t, written(format, false), "\x1b", format)
		require.Equal(t, 4, strings.Count(written(format, false), "\n"), format)
	}

	records, err := csv.NewReader(strings.NewReader(written("csv", false))).ReadAll()
	require.NoError(t, err)
	require.Equal(t, []string{"the-name", "at"}, records[0])
	require.Equal(t, "plain", records[1][0])
	require.Equal(t, "'", records[2][0][:1], "no formula")
	require.Equal(t, []string{"", ""}, records[3])

	var fromJSON, fromYAML []map[string]any
	require.NoError(t, json.Unmarshal([]byte(written("json", false)), &fromJSON))
	require.NoError(t, yaml.Unmarshal([]byte(written("yaml", false)), &fromYAML))
	require.Equal(t, fromJSON, fromYAML)
	require.Equal(t, rows[1].Name, fromJSON[1]["name"])
}

func TestNoRowsAreAListAllTheSame(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{"json": "[]\n", "yaml": "[]\n", "csv": "the-name,at\n", "table": "THE NAME\n"} {
		var out bytes.Buffer
		p := &program{lookup: func(string) string { return "" }, stdout: &out}
		require.NoError(t, show(p, output{format: format}, sampleColumns(), []sample(nil)))
		require.Equal(t, want, out.String(), format)
	}
}

func TestColoursTakeNoRoom(t *testing.T) {
	t.Parallel()
	rows := [][]cell{{{text: "STATE"}, {text: "NAME"}}, {{text: "held", colour: red}, {text: "ä"}}, {{text: "valid", colour: green}, {text: "b"}}}
	var plain, painted bytes.Buffer
	require.NoError(t, table{rows: rows}.write(&plain))
	require.NoError(t, table{rows: rows, paints: true}.write(&painted))
	require.Equal(t, "STATE  NAME\nheld   ä\nvalid  b\n", plain.String())
	require.Equal(t, "STATE  NAME\n\x1b[31mheld\x1b[0m   ä\n\x1b[32mvalid\x1b[0m  b\n", painted.String())
}

// A terminal is a character device, as /dev/null is.
func TestColoursAreForTerminalsThatWantThem(t *testing.T) {
	t.Parallel()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = null.Close() })
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	for sentence, c := range map[string]struct {
		file *os.File
		env  map[string]string
		want bool
	}{
		"a terminal":                     {null, map[string]string{"TERM": "xterm"}, true},
		"a terminal with NO_COLOR":       {null, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, false},
		"a dumb terminal":                {null, map[string]string{"TERM": "dumb"}, false},
		"a terminal of which nobody ...": {null, nil, false},
		"a file":                         {file, map[string]string{"TERM": "xterm"}, false},
	} {
		p := &program{stdout: c.file, lookup: func(name string) string { return c.env[name] }}
		require.Equal(t, c.want, p.paints(), sentence)
	}
}

func TestWhatIsLeft(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]string{
		-time.Second: "expired", 0: "0s", 90 * time.Second: "90s", time.Hour: "60m", 47 * time.Hour: "47h", 48 * time.Hour: "2d",
		729 * 24 * time.Hour: "729d", 730 * 24 * time.Hour: "2y",
	} {
		require.Equal(t, want, residual(now, now.Add(left)), left)
	}
	require.Empty(t, residual(now, time.Time{}))
}

func TestACertificateIsFoundByWhatPeopleKnowOfIt(t *testing.T) {
	t.Parallel()
	v := view.View{Certificates: []view.Certificate{
		{Role: view.Issued, Serial: "41abcdef", SHA256: "00ff11aa", CommonName: "a", Names: []string{"a.example.com"}, Unit: "etcd/0"},
		{Role: view.Own, Serial: "41abff", SHA256: "2222", CommonName: "b", Unit: "signet/0", Path: "/pki/server.crt"},
		{Role: view.Issued, CommonName: "waiting", Unit: "etcd/1", State: view.Waiting},
	}}
	for word, want := range map[string][]string{
		"41abcdef": {"41abcdef"}, "41AB:CD": {"41abcdef"}, "41ab": {"41abcdef", "41abff"}, "41a": nil, "00:FF:11:AA": {"41abcdef"},
		"a.example.com": {"41abcdef"}, "etcd/0": {"41abcdef"}, "server": {"41abff"}, "/pki/server.crt": {"41abff"}, "waiting": nil, "": nil,
	} {
		var found []string
		for _, one := range selected(v, word) {
			found = append(found, one.Serial)
		}
		require.Equal(t, want, found, word)
	}
}

func TestAFileIsWrittenWholeAndForItsOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, other := filepath.Join(dir, "key.pem"), filepath.Join(dir, "other")
	require.NoError(t, writeNew(path, []byte("one"), 0o600, false))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.ErrorContains(t, writeNew(path, []byte("two"), 0o600, false), "give --force")
	require.NoError(t, os.Symlink(other, filepath.Join(dir, "link")))
	require.Error(t, writeNew(filepath.Join(dir, "link"), []byte("two"), 0o600, false))
	require.NoError(t, writeNew(filepath.Join(dir, "link"), []byte("two"), 0o600, true))
	require.NoFileExists(t, other, "a link in its place is not followed")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "one", string(text))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing is left beside it")
}

// What a shell completes is what there is.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, script, said := say(t, nil, "completion", shell)
		require.Zero(t, code, said)
		require.Contains(t, script, "signet", shell)
	}
	for sentence, c := range map[string]struct {
		args []string
		want string
	}{
		"commands": {[]string{"cer"}, "certs"},
		"formats":  {[]string{"certs", "export", "--format", ""}, "kubeconfig"},
		"outputs":  {[]string{"status", "-o", ""}, "yaml"},
		"codes":    {[]string{"requests", "explain", "identity"}, "identity-not-allowed"},
	} {
		code, proposed, said := say(t, nil, append([]string{cobra.ShellCompRequestCmd}, c.args...)...)
		require.Zero(t, code, said)
		require.Contains(t, proposed, c.want, sentence)
	}
}
