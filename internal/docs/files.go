// SPDX-License-Identifier: AGPL-3.0-only

package docs

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/requirer"
)

// A stored file is one that signet writes, and what it is.
type stored struct{ name, what, mode string }

// installedFiles lie in the folder certificates.
func installedFiles() []stored {
	return []stored{
		{"ca.crt", "the CA certificates to trust", "0644"},
		{"server.crt", "the server certificate and its chain", "0644"},
		{"server.key", "its key", "`key-mode`"},
		{"client.crt", "the client certificate and its chain", "0644"},
		{"client.key", "its key", "`key-mode`"},
		{"kubeconfig", "the API server's URL, `ca.crt` and the client certificate, by path or embedded", "`key-mode`"},
		{"kubelet.conf", "where kubelet finds them, for its `--config-dir`", "0644"},
	}
}

// stateFiles lie in a unit's own folder.
func stateFiles() []stored {
	return []stored{
		{"journal", "the record: what was decided, reserved, signed and revoked", "0600"},
		{"secrets", "the CA's key, on units that have signed; keys between signet's units", "0700"},
		{"keys", "keys of the unit's own certificates", "0700"},
		{"requests", "its signing requests", "0700"},
		{"files", "the folder certificates, unless `certificate-directory` says another place, and CA certificates of `receive-ca-cert`", "0700"},
		{"bundles", "where folders of certificates were installed", "0700"},
		{"outside", "what was put elsewhere on the machine: links, merged kubeconfigs, trusted CAs", "0700"},
		{"ran", "which programs of the machine ran, and what came of it", "0700"},
		{"told", "what Juju's log was told", "0600"},
		{"lock", "held while a turn is taken", "0600"},
		{"backups", "archives of the action backup", "0700"},
	}
}

// linkPresets are the words of the option links that stand for several.
func linkPresets() []string { return []string{"charmed-kubernetes", "etcd", "load-balancer"} }

func filesPage(fs.FS) (string, error) {
	var w writing
	w.begin("Files", "internal/docs/files.go, which is held to internal/disk and internal/requirer", "What signet writes on a unit's machine.")
	w.line(`## Certificates of the unit

They lie in the folder ` + "`certificates`" + `, in ` + "`certificate-directory`" + ` or, where that is empty, in ` + "`/var/lib/signet/UNIT/files`" + ` (UNIT is
the unit's name with a hyphen: ` + "`signet-node-0`" + `). The whole folder changes at once, by one rename of a symbolic link, so
that key and certificate never disagree. Keys have 0600, or 0640 where ` + "`file-group`" + ` is set, or what ` + "`key-mode`" + ` says.
Each word of ` + "`client-certificates`" + ` adds NAME.crt, NAME.key and NAME.kubeconfig.
`)
	w.row(true, "file", "what it holds", "mode")
	for _, one := range installedFiles() {
		w.row(false, "`"+one.name+"`", one.what, one.mode)
	}
	w.line("\n## Links\n\nThe option `links` puts symbolic links where programs look. It takes FILE=PATH for any file above, and words for several:\n")
	w.row(true, "word", "links")
	for _, word := range linkPresets() {
		var paths []string
		settings := requirer.ReadSettings(&juju.Config{Values: map[string]any{"links": word}})
		for _, link := range settings.Links {
			paths = append(paths, fmt.Sprintf("`%s`", link.Path))
		}
		w.row(false, "`"+word+"`", strings.Join(paths, ", "))
	}
	w.line("\n## The unit's own folder\n\n`/var/lib/signet/UNIT`, mode 0700, is for root only. Nobody else writes there.\n")
	w.row(true, "name", "what it holds", "mode")
	for _, one := range stateFiles() {
		w.row(false, "`"+one.name+"`", one.what, one.mode)
	}
	w.line(`
## Elsewhere

* ` + "`/usr/local/share/ca-certificates`" + `: CA certificates to trust, unless ` + "`trust-store`" + ` is false.
* ` + "`kubeconfig-merge`" + ` names a kubeconfig into which this unit's cluster, user and context are merged.
* ` + "`/etc/systemd/system/signet-UNIT.service`" + `: the agent. The program is ` + "`dispatch`" + ` in the charm's folder,
  ` + "`/var/lib/juju/agents/unit-UNIT/charm`" + `.
* ` + "`/usr/local/bin/signet`" + `: a link to that, for people, unless another program has the name. It goes with the unit.`)
	return w.String(), nil
}
