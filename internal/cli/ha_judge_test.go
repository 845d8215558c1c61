// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/sandbox"
)

// held is one certificate as a consumer was seen to hold it.
type held struct {
	ask, leaf, key string
}

// judge fails unless everything holds that must hold whoever died: every consumer has what it asks for, all units publish
// the same, nothing came again that was not asked for anew, no key changed, there is one CA, and one number is one
// certificate that a journal knows.
func (c *cluster) judge() {
	c.t.Helper()
	now := c.look()
	for name, before := range c.seen {
		after, found := now[name]
		require.True(c.t, found, "%s has lost its certificate", name)
		require.Equal(c.t, before.key, after.key, "the key of %s", name)
		if before.ask == after.ask {
			require.Equal(c.t, before.leaf, after.leaf, "%s did not ask for another certificate\nit had one %s\nand has one %s",
				name, c.origin(before.leaf), c.origin(after.leaf))
		}
	}
	c.seen = now
	c.judgeAuthority()
	c.judgeNumbers()
}

// origin says who issued a certificate, and when.
func (c *cluster) origin(leaf string) string {
	for _, folder := range c.stateFolders() {
		for _, entry := range entriesOf(c.t, folder, ledger.Issued) {
			if strings.TrimSpace(entry.Certificate) == strings.TrimSpace(leaf) {
				return fmt.Sprintf("of %s, issued at %s for order %s", filepath.Base(folder), entry.Time.Format(time.RFC3339Nano), entry.Order)
			}
		}
	}
	return "that no journal has"
}

// look verifies what everybody holds.
func (c *cluster) look() map[string]held {
	c.t.Helper()
	all := map[string]held{}
	for _, h := range c.inventory() {
		_, err := h.verify()
		require.NoError(c.t, err, "%s: %s", h.owner, h.kind)
		names := slices.Sorted(slices.Values(h.names))
		all[h.owner+" "+h.kind+" "+h.request] = held{ask: strings.Join(names, " "), leaf: h.leaf, key: h.key.Reveal()}
	}
	require.NotEmpty(c.t, all)
	return all
}

// judgeAuthority holds the CA that is on record, the secret with its key and what consumers trust to the first CA there was.
func (c *cluster) judgeAuthority() {
	c.t.Helper()
	recorded := c.recorded()
	require.NotEmpty(c.t, recorded, "there is no CA on record")
	if c.authority == "" {
		c.authority = recorded
	}
	require.Equal(c.t, c.authority, recorded, "the CA on record")
	secret, found := c.authoritySecret()
	require.True(c.t, found)
	require.Equal(c.t, 1, secret.Latest, "the CA's secret has been written again")
	content, err := c.model().RevealSecret(secret.URI)
	require.NoError(c.t, err)
	require.Equal(c.t, c.authority, content["certificate"], "the CA in the secret")
	for _, h := range c.inventory() {
		require.Equal(c.t, strings.TrimSpace(c.authority), strings.TrimSpace(h.trust), "what %s trusts", h.owner)
	}
}

// recorded is the certificate of the CA in the peer databag; empty while there is none.
func (c *cluster) recorded() string {
	c.t.Helper()
	var record struct {
		Current struct{ Certificate string }
	}
	if text := c.model().AppBag(c.relationOf("signet", "peers"), "signet")["authority"]; text != "" {
		require.NoError(c.t, json.Unmarshal([]byte(text), &record))
	}
	return record.Current.Certificate
}

// authoritySecret is the one secret that holds a CA.
func (c *cluster) authoritySecret() (sandbox.SecretInfo, bool) {
	c.t.Helper()
	secrets := slices.DeleteFunc(c.model().Secrets("signet"), func(s sandbox.SecretInfo) bool { return !strings.HasPrefix(s.Label, "ca-") })
	if len(secrets) == 0 {
		return sandbox.SecretInfo{}, false
	}
	require.Len(c.t, secrets, 1, "secrets of CAs")
	require.Equal(c.t, "ca-1", secrets[0].Label)
	return secrets[0], true
}

// judgeNumbers compares the journals of all units there ever were with one another, and with what is published.
func (c *cluster) judgeNumbers() {
	c.t.Helper()
	reserved, issued := map[string]string{}, map[string]string{} // by serial: the unit and order, the certificate
	for _, folder := range c.stateFolders() {
		for _, entry := range readJournal(c.t, folder) {
			who := filepath.Base(folder) + " " + entry.Order
			switch entry.Event {
			case ledger.Reserved:
				require.NotContains(c.t, reserved, entry.Serial, "%s reserves a number again", who)
				reserved[entry.Serial] = who
			case ledger.Issued:
				require.Equal(c.t, who, reserved[entry.Serial], "who reserved the number")
				require.NotContains(c.t, issued, entry.Serial, "%s issues a number again", who)
				require.Equal(c.t, entry.Serial, serialOf(c.t, entry.Certificate))
				issued[entry.Serial] = entry.Certificate
			}
		}
	}
	published := []string{c.authority}
	for _, one := range c.seen {
		published = append(published, one.leaf)
	}
	for _, leaf := range published {
		serial := serialOf(c.t, leaf)
		require.Equal(c.t, strings.TrimSpace(issued[serial]), strings.TrimSpace(leaf), "the journals' certificate %s", serial)
	}
}

// published are the serial numbers of what consumers were last seen to hold.
func (c *cluster) published() []string {
	c.t.Helper()
	var serials []string
	for _, one := range c.seen {
		serials = append(serials, serialOf(c.t, one.leaf))
	}
	return serials
}

func serialOf(t require.TestingT, text string) string {
	parsed, err := cert.Parse(text)
	require.NoError(t, err)
	return cert.SerialText(parsed.SerialNumber)
}

// stateFolders are those of all units of signet there ever were.
func (c *cluster) stateFolders() []string {
	c.t.Helper()
	folders, err := filepath.Glob(filepath.Join(c.dir, "state", "signet-*"))
	require.NoError(c.t, err)
	return folders
}

func (c *cluster) journalPath(unit string) string { return filepath.Join(c.stateDir(unit), "journal") }

// readJournal reads a unit's journal without the rules of who writes it. A torn end counts for nothing.
func readJournal(t require.TestingT, folder string) []ledger.Entry {
	text, err := os.ReadFile(filepath.Join(folder, "journal"))
	if os.IsNotExist(err) {
		return nil // it has not had a turn yet in which it led
	}
	require.NoError(t, err)
	var entries []ledger.Entry
	for line := range bytes.Lines(text) {
		var batch struct{ Entries []ledger.Entry }
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		require.NoError(t, json.Unmarshal(line, &batch), "%s: %s", folder, line)
		entries = append(entries, batch.Entries...)
	}
	return entries
}
