// SPDX-License-Identifier: AGPL-3.0-only

// Package host is the unit's machine beyond its disk: what it is called, and its own programs, which have services
// reloaded and the trust store made anew. That a program has run is recorded, so that it runs once for each change and
// again when nobody knows that it has. Where to look next: carry.go, then package disk for the files.
package host

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/order"
)

// Records keeps small blobs by name, durably.
type Records interface {
	Read(name string) ([]byte, error)
	Write(name string, blob []byte) error // durable when it returns
	Names(prefix string) ([]string, error)
}

// Config is what a Machine needs.
type Config struct {
	Records Records
	Run     Run    // how programs are run; nil for as children of this process
	Apart   bool   // systemd runs here and shall start what needs more than a service is allowed
	Root    string // folder that stands for the machine's root, as in a sandbox; empty for that itself
}

// Machine carries order.RefreshTrust and order.Reload. Not safe for concurrent use: who carries orders holds the lock of
// the unit's folder.
type Machine struct{ config Config }

// New gives the machine that this process runs on.
func New(config Config) *Machine {
	if config.Run == nil {
		config.Run = Child
	}
	return &Machine{config}
}

// ran is the record of one thing that a program did.
type ran struct {
	What  string   `json:"what"` // "reload.kubelet.service", "refresh-trust"
	Order order.ID `json:"order"`
}

// recordOf names a record: what it is about may have characters that a file name has not.
func recordOf(what string) string {
	sum := sha256.Sum256([]byte(what))
	return "ran-" + hex.EncodeToString(sum[:8])
}

// last gives the order for which something was done last; empty when nobody knows.
func (m *Machine) last(what string) order.ID {
	blob, err := m.config.Records.Read(recordOf(what))
	var record ran
	if err != nil || json.Unmarshal(blob, &record) != nil || record.What != what {
		return ""
	}
	return record.Order
}

// Survey tells, for juju.Snapshot.Local:
//
//	ran.<what>   the ID of the order for which a program ran last: "ran.refresh-trust", "ran.reload.kubelet.service"
//	hostname     the machine's name, in lower case
//	fqdn         its name with a domain, in lower case, where its own files tell one
func (m *Machine) Survey() (map[string]string, error) {
	found := map[string]string{}
	names, err := m.config.Records.Names("ran-")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		var record ran
		if blob, err := m.config.Records.Read(name); err == nil && json.Unmarshal(blob, &record) == nil {
			found["ran."+record.What] = string(record.Order)
		}
	}
	if name, err := m.hostname(); err == nil && name != "" {
		hosts, _ := os.ReadFile(filepath.Join("/", m.config.Root, "etc/hosts"))
		found["hostname"] = strings.ToLower(name)
		if full := qualified(name, string(hosts)); full != "" {
			found["fqdn"] = full
		}
	}
	return found, nil
}

// hostname is what the machine is called; a folder that stands for the root of one says it as /etc/hostname does.
func (m *Machine) hostname() (string, error) {
	if m.config.Root != "" {
		if text, err := os.ReadFile(filepath.Join(m.config.Root, "etc/hostname")); err == nil {
			return strings.TrimSpace(string(text)), nil
		}
	}
	return os.Hostname()
}

// qualified gives a host's name with its domain, by the hosts file (hosts(5)): the first name of a line is the canonical
// one. It asks no name server: an answer that comes and goes would change the certificates that bear the name.
func qualified(hostname, hosts string) string {
	hostname = strings.ToLower(hostname)
	if strings.Contains(hostname, ".") {
		return hostname
	}
	for lines := bufio.NewScanner(strings.NewReader(hosts)); lines.Scan(); {
		text, _, _ := strings.Cut(strings.ToLower(lines.Text()), "#")
		fields := strings.Fields(text)
		if len(fields) > 1 && slices.Contains(fields[1:], hostname) && strings.HasPrefix(fields[1], hostname+".") {
			return fields[1]
		}
	}
	return ""
}
