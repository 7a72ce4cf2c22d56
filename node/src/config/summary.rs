use core::fmt::{self, Display, Write as _};

use rebuilder_actors::domain::sync::FilterSpec;

use super::coordinator::CoordinatorConfig;
use super::load::Config;
use super::profile::ProfileConfig;
use super::worker::{WorkerConfig, WorkerEnrolment};
use crate::index::Environment;

impl Config {
    /// What holds, as `--check-config` shows it: every value that counts for the role, with
    /// defaults filled in, and without secrets.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let written = self.write(&mut text);
        written.expect("writing to a String never fails");
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        if let Some(coordinator) = &self.coordinator {
            write_coordinator(out, coordinator)?;
            for profile in &coordinator.profiles {
                write_profile(out, profile)?;
            }
        }
        if let Some(worker) = &self.worker {
            write_worker(out, worker)?;
        }
        for warning in &self.warnings {
            writeln!(out, "warning: {warning}")?;
        }
        Ok(())
    }
}

fn write_coordinator(out: &mut String, c: &CoordinatorConfig) -> fmt::Result {
    writeln!(out, "coordinator")?;
    line(out, "listens on", format_args!("{} (workers and ctl, UDP)", c.listen))?;
    line(out, "data in", c.data_dir.display())?;
    line(out, "its database", c.store.name())?;
    if c.synchronous_file_system {
        line(out, "its file system", "writes synchronously by itself")?;
    }
    line(out, "invitations name", c.public_address.as_deref().unwrap_or("the address above"))?;
    line(out, "admins", format_args!("the key ctl.key, and {} listed", c.admins.len()))?;
    let secret = if c.signup_secret.is_some() { "a signup secret" } else { "no signup secret" };
    let listed = c.authorized_workers.len();
    line(out, "workers enrol by", format_args!("{listed} listed keys, {secret}, invitations"))?;
    line(out, "connections", format_args!("at most {}", c.places))?;
    line(out, "a lease is lost after", format_args!("{} s", c.lease.as_secs()))?;
    let hours = c.retry.delay_base.as_secs() / 3600;
    let retries = or(c.retry.max_retries, "no limit");
    line(out, "n-th retry after", format_args!("n × {hours} h, at most: {retries}"))?;
    line(out, "new inputs wait", format_args!("{} s", c.initial_delay.as_secs()))?;
    line(out, "confirmations", c.confirmations)?;
    line(out, "order's seed", or(c.seed, "from the key"))?;
    let limits = format!(
        "{} s to build, {} s each other stage, {} bytes of log",
        c.limits.build_secs_max, c.limits.stage_secs_max, c.limits.log_bytes_max
    );
    line(out, "an attempt has", limits)
}

fn write_profile(out: &mut String, p: &ProfileConfig) -> fmt::Result {
    writeln!(out, "profile {}", p.name)?;
    line(out, "distribution", format_args!("{} (index: {})", p.distribution, p.index.name()))?;
    line(out, "source", &p.source)?;
    let release = |r: &crate::index::Release| match &r.source {
        Some(source) => format!("{} (from {source})", r.name),
        None => r.name.clone(),
    };
    let releases: Vec<_> = p.releases.iter().map(release).collect();
    line(out, "releases", list(&releases, "as apt is configured"))?;
    line(out, "components", list(&p.components, "as apt is configured"))?;
    line(out, "architectures", list(&p.architectures, "this machine's"))?;
    write_filters(out, &p.filter_spec)?;
    match &p.environment {
        Environment::Suite => line(out, "environment", "the suite of today")?,
        Environment::Recorded { buildinfo_url } => {
            line(out, "environment", format_args!("as recorded at {buildinfo_url}"))?;
        }
        Environment::RecordedOrSuite { buildinfo_url } => {
            let text = format!("as recorded at {buildinfo_url}, or the suite of today");
            line(out, "environment", text)?;
        }
    }
    line(out, "snapshots", list(&p.snapshots, "none"))?;
    line(out, "more archives", p.archives.len())?;
    let keyring = p.keyring.as_ref().map(|path| path.display().to_string());
    let keyring = keyring.unwrap_or_else(|| "the distribution's keyring".to_owned());
    let signature = if p.check_signature { keyring } else { "NOT CHECKED".to_owned() };
    line(out, "signatures", signature)?;
    let published =
        if p.policy.check_published { "always fetched" } else { "fetched if they differ" };
    line(out, "published files", published)?;
    line(out, "read every", format_args!("{} s", p.interval.as_secs()))?;
    line(out, "refused with more than", format_args!("{} packages", p.packages_max))?;
    line(out, "refused if it lost", format_args!("more than {} %", p.shrink_guard_percent))?;
    let unreadable = p.unreadable_guard_percent;
    line(out, "refused if unreadable", format_args!("more than {unreadable} % of it"))?;
    if !p.check_valid_until {
        line(out, "Valid-Until", "NOT CHECKED")?;
    }
    if !p.accept_suite.is_empty() {
        line(out, "may call itself", p.accept_suite.join(", "))?;
    }
    let policy = &p.policy;
    line(out, "priority", or(policy.priority, "1"))?;
    line(out, "retries", or(policy.max_retries, "as above"))?;
    let delay = policy.initial_delay.map(|delay| format!("{} s", delay.as_secs()));
    line(out, "new inputs wait", or(delay, "as above"))?;
    line(out, "workers need tags", list(&policy.tags, "none"))
}

/// Which packages, in the order in which it is decided.
fn write_filters(out: &mut String, filters: &FilterSpec) -> fmt::Result {
    if *filters == FilterSpec::default() {
        return line(out, "packages", "all");
    }
    if !filters.excludes.is_empty() {
        let globs = filters.excludes.join(", ");
        line(out, "never", format_args!("binary packages called {globs}"))?;
    }
    for rule in &filters.include {
        let mut when: Vec<String> = Vec::new();
        when.extend(rule.component.as_ref().map(|name| format!("component {name}")));
        for (what, globs) in [("binary", &rule.binary_pkgs), ("source", &rule.source_pkgs)] {
            if !globs.is_empty() {
                when.push(format!("{what} package called {}", globs.join(" or ")));
            }
        }
        when.extend(rule.maintainer.as_ref().map(|start| format!("maintainer {start}…")));
        let when = if when.is_empty() { "all the rest".to_owned() } else { when.join(" and ") };
        line(out, if rule.exclude { "leaves out" } else { "keeps" }, when)?;
    }
    if !filters.maintainers.is_empty() {
        line(out, "keeps", format_args!("maintainers {}…", filters.maintainers.join("…, ")))?;
    }
    if !filters.pkgs.is_empty() {
        line(out, "keeps", format_args!("binary packages called {}", filters.pkgs.join(", ")))?;
    }
    Ok(())
}

fn write_worker(out: &mut String, w: &WorkerConfig) -> fmt::Result {
    writeln!(out, "worker {}", w.name)?;
    line(out, "coordinator", w.coordinator.as_deref().unwrap_or("by invitation, or its own"))?;
    line(out, "coordinator's key", or(w.coordinator_key, "not pinned here"))?;
    let by = match w.enrolment {
        WorkerEnrolment::KeyOnly => "its key alone",
        WorkerEnrolment::SignupSecret(_) => "the signup secret",
        WorkerEnrolment::Invitation(_) => "an invitation",
    };
    line(out, "enrols by", by)?;
    line(out, "slots", w.slots)?;
    line(out, "works in", w.work_dir.display())?;
    line(out, "architectures", list(&w.architectures, "none"))?;
    line(out, "tags", list(&w.tags, "none"))?;
    line(out, "a build has", w.bounds)?;
    for settings in w.built_in.values() {
        line(out, "backend", settings.summary(&w.work_dir))?;
    }
    for (name, script) in &w.scripts {
        line(out, "backend", format_args!("{name}: {}", script.program.display()))?;
    }
    let d = &w.diffoscope;
    if !d.enabled {
        return line(out, "differences", "not explained");
    }
    let (program, secs) = (d.program.display(), d.timeout.as_secs());
    let text = format!("by {program} {}, {secs} s, {} bytes", d.args.join(" "), d.bytes_max);
    line(out, "differences", text)
}

fn line(out: &mut String, name: &str, value: impl Display) -> fmt::Result {
    writeln!(out, "  {name:<22} {value}")
}

fn or(value: Option<impl Display>, otherwise: &str) -> String {
    value.map_or_else(|| otherwise.to_owned(), |value| value.to_string())
}

fn list(values: &[String], empty: &str) -> String {
    if values.is_empty() { empty.to_owned() } else { values.join(", ") }
}
