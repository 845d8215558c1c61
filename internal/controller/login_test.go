// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/juju/juju/agent"
	"github.com/juju/juju/api"
	"github.com/juju/juju/rpc"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/names/v5"
	"github.com/juju/version/v2"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

const testPassword = "correct-horse-battery"

// selfSigned is some CA certificate, in PEM.
func selfSigned(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// writeConf writes an agent.conf as Juju does, with changes to its parameters and then to its text.
func writeConf(t testing.TB, change func(*agent.AgentConfigParams), edit func(string) string) string {
	t.Helper()
	parameters := agent.AgentConfigParams{
		Paths:             agent.Paths{DataDir: t.TempDir()},
		UpgradedToVersion: version.MustParse("3.6.25"),
		Tag:               names.NewUnitTag("signet/0"),
		Password:          "older",
		Controller:        names.NewControllerTag("deadbeef-1bad-500d-9000-4b1d0d06f00d"),
		Model:             names.NewModelTag("deadbeef-0bad-400d-8000-4b1d0d06f00d"),
		APIAddresses:      []string{"127.0.0.1:1"},
		CACert:            selfSigned(t),
	}
	if change != nil {
		change(&parameters)
	}
	conf, err := agent.NewAgentConfig(parameters)
	require.NoError(t, err)
	conf.SetPassword(testPassword)
	data, err := conf.Render()
	require.NoError(t, err)
	text := string(data)
	if edit != nil {
		text = edit(text)
	}
	path := filepath.Join(t.TempDir(), "agent.conf")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestAgentConfSaysWhoConnects(t *testing.T) {
	t.Parallel()
	who, err := readAgentConf(writeConf(t, nil, nil), "signet/0")
	require.NoError(t, err)
	require.Equal(t, "signet/0", who.unit.Id())
	require.Equal(t, testPassword, who.info.Password)
	require.Equal(t, "older", who.oldPassword)
	require.Equal(t, "3.6.25", who.version)
	require.Equal(t, []string{"127.0.0.1:1"}, who.info.Addrs)
	require.Contains(t, who.info.CACert, "BEGIN CERTIFICATE")
}

// Juju's own reader says the same of what Juju's own writer wrote.
func TestAgentConfIsReadAsJujuReadsIt(t *testing.T) {
	t.Parallel()
	for sentence, change := range map[string]func(*agent.AgentConfigParams){
		"of one controller": nil,
		"of several": func(p *agent.AgentConfigParams) {
			p.APIAddresses = []string{"10.0.0.1:17070", "[fd00::1]:17070", "juju.example:443"}
		},
		"with a nonce": func(p *agent.AgentConfigParams) { p.Nonce = "0x1:2" },
		"of a beta":    func(p *agent.AgentConfigParams) { p.UpgradedToVersion = version.MustParse("4.0-beta5.7") },
		"with a password that looks like a number":  func(p *agent.AgentConfigParams) { p.Password = "12e4" },
		"with a password that looks like a flag":    func(p *agent.AgentConfigParams) { p.Password = "yes" },
		"with a password of the characters of YAML": func(p *agent.AgentConfigParams) { p.Password = "a: #'\"\\&*!|>%@`{[é\n" },
		"with values that signet does not care about": func(p *agent.AgentConfigParams) {
			p.Values = map[string]string{"SOME": "value"}
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			path := writeConf(t, change, nil)
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			theirs, err := agent.ParseConfigData(text)
			require.NoError(t, err)
			info, has := theirs.APIInfo()
			require.True(t, has)
			ours, err := parseAgentConf(text)
			require.NoError(t, err)
			require.Equal(t, *info, ours.info())
			require.Equal(t, theirs.OldPassword(), ours.OldPassword)
			require.Equal(t, theirs.UpgradedToVersion(), *ours.Version)
			require.Equal(t, theirs.Tag(), ours.tag)
		})
	}
}

func TestAnAgentConfThatCannotBeUsedSaysWhyAndKeepsItsSecrets(t *testing.T) {
	t.Parallel()
	machine := func(p *agent.AgentConfigParams) { p.Tag = names.NewMachineTag("0"); p.Nonce = "nonce" }
	plain := func(p *agent.AgentConfigParams) { p.APIAddresses = []string{"ws://127.0.0.1:1"} }
	for sentence, c := range map[string]struct {
		change func(*agent.AgentConfigParams)
		edit   func(string) string
		unit   string
		mode   os.FileMode
		want   string
	}{
		"of another unit":           {unit: "signet/1", want: `it belongs to unit "signet/0", not to "signet/1"`},
		"of a machine":              {change: machine, want: `it belongs to "machine-0", not to a unit`},
		"readable by others":        {mode: 0o644, want: "mode 0644 lets others at the unit's password; chmod 0600 it"},
		"an address without TLS":    {change: plain, want: "is not of TLS"},
		"empty":                     {edit: func(string) string { return "" }, want: "not a complete agent configuration"},
		"one line with a password":  {edit: func(string) string { return "apipassword: " + testPassword }, want: "not a complete agent configuration"},
		"cut short":                 {edit: func(s string) string { return s[:len(s)/3] }, want: "cannot use"},
		"of another format":         {edit: func(s string) string { return strings.Replace(s, "2.0", "3.0", 1) }, want: "not a complete agent configuration"},
		"without a model":           {edit: without("model"), want: "not a complete agent configuration"},
		"without a controller":      {edit: without("controller"), want: "not a complete agent configuration"},
		"no YAML":                   {edit: func(s string) string { return s + "\n- " + testPassword }, want: "not a complete agent configuration"},
		"without a version":         {edit: without("upgradedToVersion"), want: "it is incomplete"},
		"without addresses":         {edit: func(s string) string { return strings.ReplaceAll(s, "- 127.0.0.1:1", "[]") }, want: "cannot use"},
		"with a CA that is not PEM": {edit: func(s string) string { return strings.ReplaceAll(s, "BEGIN", "BEGUN") }, want: "no CA certificate"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			path := writeConf(t, c.change, c.edit)
			if c.mode != 0 {
				require.NoError(t, os.Chmod(path, c.mode))
			}
			unit := c.unit
			_, err := readAgentConf(path, unit)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, path)
			require.NotContains(t, err.Error(), testPassword)
			require.NotContains(t, err.Error(), "older")
		})
	}
}

// without leaves out the line of a key.
func without(key string) func(string) string {
	return func(text string) string {
		var kept []string
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, key+":") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
}

func TestAnAgentConfThatIsNotThereSaysSo(t *testing.T) {
	t.Parallel()
	_, err := readAgentConf(filepath.Join(t.TempDir(), "agent.conf"), "")
	require.ErrorContains(t, err, "there is no such file")
	_, err = readAgentConf(t.TempDir(), "")
	require.ErrorContains(t, err, "not a regular file")
}

// The library asks for this when the certificate is not of the CA in agent.conf and that names a host.
func TestNoOtherTrustThanAgentConfsIsTaken(t *testing.T) {
	t.Parallel()
	for sentence, config := range map[string]*tls.Config{
		"the machine's trust store": {},
		"no verification":           {RootCAs: x509.NewCertPool(), InsecureSkipVerify: true},
	} {
		s := &sockets{ctx: t.Context(), connect: func(context.Context, string, string) (net.Conn, error) {
			t.Error("nobody is dialled")
			return nil, errors.New("dialled")
		}}
		_, err := s.dial(t.Context(), "wss://127.0.0.1:1/api", config, "127.0.0.1:1")
		require.ErrorContains(t, err, "only the CA of agent.conf is trusted", sentence)
	}
}

func TestEachRefusedLoginNamesTheNextStep(t *testing.T) {
	t.Parallel()
	who, err := readAgentConf(writeConf(t, nil, nil), "")
	require.NoError(t, err)
	refused := func(code string) error { return &rpc.RequestError{Message: "refused", Code: code} }
	for sentence, c := range map[string]struct {
		err   error
		want  string
		waits bool
	}{
		"the model moved":              {&api.RedirectError{CACert: "another"}, "the model moved to another controller", true},
		"the controller is upgraded":   {refused(params.CodeUpgradeInProgress), "it will be tried again", true},
		"the model is migrated":        {refused(params.CodeMigrationInProgress), "it will be tried again", true},
		"the controller is overloaded": {refused(params.CodeTryAgain), "it will be tried again", true},
		"the login takes too long":     {api.ConnectionOpenTimedOut, "check that it runs", true},
		"the model is gone":            {refused(params.CodeModelNotFound), "the unit or its model was removed", false},
		"the unit is gone":             {refused(params.CodeNotFound), "the unit or its model was removed", false},
		"the password is wrong":        {refused(params.CodeUnauthorized), "refuses the password", false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			err := explain(c.err, "/agent.conf", who)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "127.0.0.1:1")
			require.Equal(t, c.waits, errors.Is(err, juju.ErrUnreachable))
			require.NotContains(t, err.Error(), testPassword)
		})
	}
}

// Juju's library tries again with the CAs that the machine trusts where the controller's address is a name.
func TestOnlyTheCAOfAgentConfIsTrusted(t *testing.T) {
	t.Parallel()
	dialled := &sockets{ctx: t.Context()}
	conn, err := dialled.dial(t.Context(), "wss://controller.example.com:17070/api", &tls.Config{ServerName: "controller.example.com"}, "127.0.0.1:1")
	require.Nil(t, conn)
	require.ErrorContains(t, err, "only the CA of agent.conf is trusted")
}
