//! A new configuration: checked whole, then taken over without losing what is under way.

use std::collections::HashMap;
use std::sync::Arc;

use crate::access::socket_of;
use crate::ascii;
use crate::cluster::Cluster;
use crate::config::{self, check_seconds, RemoteKeys, Snapshot};
use crate::engine::connection::{Ending, Role};
use crate::engine::detection::Offers;
use crate::engine::keys::KeySet;
use crate::engine::{Engine, Listener};
use crate::limits::{MAX_CHECKED_SERVICE, MAX_MAGLEV_TABLE, MAX_RING_SIZE};
use crate::names::Names;
use crate::routes::{compile, ledger_key, Bucket, Filters};
use crate::slab::Id;
use crate::stats::{ListenerCounters, RouteCounters};

/// The engine's numbers while a configuration is compiled; what is new is added only if all of it is right.
struct Numbers<'a> {
    clusters: HashMap<&'a str, usize>,
    labels: &'a HashMap<(String, String), usize>,
    next_label: usize,
    new_labels: Vec<(String, String)>,
    buckets: &'a HashMap<String, usize>,
    new_buckets: Vec<String>,
    key_sets: &'a HashMap<String, usize>,
    new_key_sets: Vec<(String, RemoteKeys)>,
}

impl Names for Numbers<'_> {
    fn cluster(&self, name: &str) -> Option<usize> {
        self.clusters.get(name).copied()
    }

    fn label(&mut self, host: &str, name: &str) -> usize {
        let key = (host.to_owned(), name.to_owned());
        if let Some(number) = self.labels.get(&key) {
            return *number;
        }
        let new = self.new_labels.iter().position(|label| *label == key).unwrap_or_else(|| {
            self.new_labels.push(key);
            self.new_labels.len() - 1
        });
        self.next_label + new
    }

    fn bucket(&mut self, key: &str) -> usize {
        if let Some(number) = self.buckets.get(key) {
            return *number;
        }
        let new = self.new_buckets.iter().position(|bucket| bucket == key).unwrap_or_else(|| {
            self.new_buckets.push(key.to_owned());
            self.new_buckets.len() - 1
        });
        self.buckets.len() + new
    }

    fn key_set(&mut self, remote: &RemoteKeys) -> usize {
        // What is fetched alike is kept over a new configuration.
        let name = format!("{remote:?}");
        if let Some(number) = self.key_sets.get(&name) {
            return *number;
        }
        let new = self.new_key_sets.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.new_key_sets.push((name, remote.clone()));
            self.new_key_sets.len() - 1
        });
        self.key_sets.len() + new
    }
}

impl Engine {
    /// Make `snapshot` the configuration of every request that starts from now on.
    ///
    /// The error names the field that is wrong; the previous configuration then stays in force.
    pub fn apply(&mut self, snapshot: &[u8], now: f64) -> Result<(), String> {
        let mut snapshot: Snapshot = serde_json::from_slice(snapshot).map_err(|error| format!("snapshot: {error}"))?;
        check_clusters(&snapshot.clusters)?;
        check_listeners(&snapshot.listeners)?;
        let secured = self.contexts(&snapshot, now)?;
        let (protocols, offers) = self.declared(&mut snapshot)?;
        let numbers = self.cluster_numbers(&snapshot.clusters);
        let clusters = snapshot.clusters.iter().map(|cluster| cluster.name.as_str()).zip(numbers.iter().copied());
        let mut names = Numbers {
            clusters: clusters.collect(),
            labels: &self.label_names,
            next_label: self.labels.len(),
            new_labels: Vec::new(),
            buckets: &self.bucket_names,
            new_buckets: Vec::new(),
            key_sets: &self.key_set_names,
            new_key_sets: Vec::new(),
        };
        let tables = compile(&snapshot, &mut names)?;
        let filters = compile_filters(&snapshot.listeners, &mut names)?;
        let (new_labels, new_buckets, new_key_sets) = (names.new_labels, names.new_buckets, names.new_key_sets);
        for (name, remote) in new_key_sets {
            self.key_set_names.insert(name, self.key_sets.len());
            self.key_sets.push(KeySet::new(remote));
        }
        for key in new_buckets {
            self.buckets.push((ledger_key(&key), Bucket::default()));
            self.bucket_names.insert(key, self.buckets.len() - 1);
        }
        for (host, name) in new_labels {
            self.label_names.insert((host.clone(), name.clone()), self.labels.len());
            self.labels.push(RouteCounters { host, name, ..RouteCounters::default() });
        }
        let former = std::mem::replace(&mut self.tables, Arc::new(tables));
        self.recent.forget();
        for exchange in self.exchanges.values_mut() {
            exchange.former.get_or_insert_with(|| Arc::clone(&former));
        }
        self.protocols = protocols;
        self.take_over_clusters(&snapshot.clusters, &numbers, now);
        self.take_over_tracing(snapshot.tracing.as_ref());
        let told = filters.into_iter().zip(offers).collect();
        self.take_over_listeners(snapshot.listeners, told, snapshot.tracing.as_ref());
        self.take_over_contexts(secured);
        self.part_with_former_protocols(now);
        self.settle(now);
        Ok(())
    }

    /// Return the number each cluster has or will have.
    fn cluster_numbers(&self, wanted: &[config::Cluster]) -> Vec<usize> {
        let spent = self.clusters.iter().enumerate().filter(|(_, cluster)| cluster.is_spent()).map(|(at, _)| at);
        let known = |name: &str| self.cluster_names.get(name).copied();
        let reused: Vec<usize> = wanted.iter().filter_map(|cluster| known(&cluster.name)).collect();
        let mut free = spent.filter(|at| !reused.contains(at)).chain(self.clusters.len()..);
        wanted.iter().filter_map(|cluster| known(&cluster.name).or_else(|| free.next())).collect()
    }

    fn take_over_clusters(&mut self, wanted: &[config::Cluster], numbers: &[usize], now: f64) {
        let mut orphans: Vec<Id> = Vec::new();
        for (at, cluster) in self.clusters.iter_mut().enumerate() {
            if !cluster.gone && !numbers.contains(&at) {
                orphans.extend(cluster.retire(now));
                self.woken.push(at);
            }
        }
        for (config, at) in wanted.iter().zip(numbers.iter().copied()) {
            let fresh = self.cluster_names.get(&config.name) != Some(&at);
            if fresh {
                let cluster = Cluster::new(config, now);
                if let Some(slot) = self.clusters.get_mut(at) {
                    self.cluster_names.remove(&slot.config.name);
                    *slot = cluster;
                } else {
                    self.clusters.push(cluster);
                }
                self.cluster_names.insert(config.name.clone(), at);
            }
            if let Some(cluster) = self.clusters.get_mut(at) {
                orphans.extend(cluster.configure(config, now));
                self.woken.push(at);
            }
            self.arm_cluster(at);
        }
        for id in orphans {
            self.orphan(id, now);
        }
    }

    /// A pooled connection to an endpoint that is gone: close it once nobody rides on it.
    fn orphan(&mut self, id: Id, now: f64) {
        let Some(conn) = self.connections.get(id) else { return };
        if conn.streams.is_empty() && conn.boarding.is_empty() && matches!(conn.role, Role::Upstream { .. }) {
            self.end(id, Ending::Close);
        } else {
            self.settle_connection(id, now);
        }
    }

    fn take_over_listeners(
        &mut self,
        wanted: Vec<config::Listener>,
        told: Vec<(Option<Arc<Filters>>, Offers)>,
        tracing: Option<&config::Tracing>,
    ) {
        for listener in &mut self.listeners {
            listener.table = None; // connections of a removed listener get 404 for what they still ask
        }
        self.listener_names.clear();
        for (config, (filters, offers)) in wanted.into_iter().zip(told) {
            let via = if config.via.is_empty() { Vec::new() } else { format!("1.1 {}", config.via).into_bytes() };
            let log = self.log.open(&config.access_log);
            let table = self.tables.table(&config.route_table);
            let tracer = self.tracer(&config, tracing);
            let known = self.listeners.iter().position(|listener| listener.config.name == config.name);
            let name = config.name.clone();
            let number = known.unwrap_or(self.listeners.len());
            let destination = socket_of(&config.address);
            if let Some(listener) = self.listeners.get_mut(number) {
                (listener.config, listener.via, listener.table, listener.log) = (config, via, table, log);
                (listener.destination, listener.filters) = (destination, filters);
                (listener.tracer, listener.offers) = (tracer, offers);
            } else {
                self.listeners.push(Listener {
                    config,
                    via,
                    table,
                    log,
                    destination,
                    filters,
                    tls: None,
                    tracer,
                    offers,
                    counters: ListenerCounters::default(),
                });
            }
            self.listener_names.insert(name, number);
        }
    }
}

fn compile_filters(
    listeners: &[config::Listener],
    names: &mut Numbers<'_>,
) -> Result<Vec<Option<Arc<Filters>>>, String> {
    let compiled = listeners.iter().map(|listener| {
        let (key, field) = (format!("listener {}", listener.name), format!("listeners[{:?}].filters", listener.name));
        let filters = listener.filters.as_ref();
        filters.map(|filters| Filters::compile(filters, &key, &field, names).map(Arc::new)).transpose()
    });
    compiled.collect()
}

fn check_clusters(clusters: &[config::Cluster]) -> Result<(), String> {
    let mut names = std::collections::HashSet::new();
    for cluster in clusters {
        let field = format!("clusters[{:?}]", cluster.name);
        if !names.insert(&cluster.name) {
            return Err(format!("{field}: this name is given twice"));
        }
        if cluster.protocol == config::WireProtocol::Auto {
            return Err(format!("{field}.protocol: auto is for listeners; a cluster must say what it speaks"));
        }
        let durations = [
            ("connect_timeout_s", cluster.connect_timeout_s),
            ("idle_timeout_s", cluster.idle_timeout_s),
            ("hold_timeout_s", cluster.hold_timeout_s),
            ("keepalive_interval_s", cluster.keepalive_interval_s),
            ("keepalive_timeout_s", cluster.keepalive_timeout_s),
        ];
        for (name, seconds) in durations {
            check_seconds(seconds).map_err(|what| format!("{field}.{name}: {what}"))?;
        }
        check_policies(cluster).map_err(|what| format!("{field}.{what}"))?;
        if let Some(endpoint) = cluster.endpoints.iter().find(|endpoint| endpoint.address.is_empty()) {
            return Err(format!("{field}.endpoints: address {:?} is empty", endpoint.address));
        }
    }
    Ok(())
}

/// Check the policies of a cluster; an error begins with the field that is wrong.
fn check_policies(cluster: &config::Cluster) -> Result<(), String> {
    let above_0 = |name: &str, seconds: f64| {
        let fine = seconds.is_finite() && seconds > 0.0;
        if fine {
            Ok(())
        } else {
            Err(format!("{name}: {seconds} is not a duration above 0"))
        }
    };
    if !(0.0..=100.0).contains(&cluster.panic_percent) {
        return Err(format!("panic_percent: {} is out of range; accepted are 0 to 100", cluster.panic_percent));
    }
    if cluster.min_ring_size == 0 || cluster.min_ring_size > cluster.max_ring_size {
        return Err(format!(
            "min_ring_size: {} is out of range; accepted are 1 to max_ring_size",
            cluster.min_ring_size
        ));
    }
    if cluster.max_ring_size > MAX_RING_SIZE {
        return Err(format!("max_ring_size: {} is more than the limit of {MAX_RING_SIZE}", cluster.max_ring_size));
    }
    if !is_prime(cluster.maglev_table_size) || cluster.maglev_table_size > MAX_MAGLEV_TABLE {
        let size = cluster.maglev_table_size;
        return Err(format!("maglev_table_size: {size} is no prime number up to {MAX_MAGLEV_TABLE}"));
    }
    if let Some(outlier) = &cluster.outlier {
        above_0("outlier.interval_s", outlier.interval_s)?;
        above_0("outlier.base_ejection_time_s", outlier.base_ejection_time_s)?;
        check_seconds(outlier.max_ejection_time_s).map_err(|what| format!("outlier.max_ejection_time_s: {what}"))?;
    }
    if let Some(check) = &cluster.health_check {
        above_0("health_check.timeout_s", check.timeout_s)?;
        above_0("health_check.interval_s", check.interval_s)?;
        above_0("health_check.unhealthy_interval_s", check.unhealthy_interval_s)?;
        above_0("health_check.no_traffic_interval_s", check.no_traffic_interval_s)?;
        check_seconds(check.interval_jitter_s).map_err(|what| format!("health_check.interval_jitter_s: {what}"))?;
        check_probe(&check.probe)?;
    }
    Ok(())
}

fn check_probe(probe: &config::Probe) -> Result<(), String> {
    let plain = |name: &str, text: &str, valid: bool| {
        if valid {
            Ok(())
        } else {
            Err(format!("health_check.probe.{name}: {text:?} cannot be sent"))
        }
    };
    match probe {
        config::Probe::TcpProbe {} => Ok(()),
        config::Probe::HttpProbe { host, path, method, .. } => {
            plain("host", host, host.is_empty() || ascii::is_authority(host.as_bytes()))?;
            plain("method", method, ascii::is_token(method.as_bytes()))?;
            plain("path", path, ascii::is_target(path.as_bytes()))
        }
        config::Probe::GrpcProbe { service, authority } => {
            plain("authority", authority, authority.is_empty() || ascii::is_authority(authority.as_bytes()))?;
            plain("service", service, service.len() <= MAX_CHECKED_SERVICE)
        }
    }
}

/// Tell whether a number has no divisor: the steps of a Maglev table must reach every place of it.
fn is_prime(number: usize) -> bool {
    number > 1 && (2..=number.isqrt()).all(|divisor| number % divisor != 0)
}

fn check_listeners(listeners: &[config::Listener]) -> Result<(), String> {
    let mut names = std::collections::HashSet::new();
    for listener in listeners {
        let field = format!("listeners[{:?}]", listener.name);
        if !names.insert(&listener.name) {
            return Err(format!("{field}: this name is given twice"));
        }
        if listener.protocol == config::WireProtocol::Downstream {
            return Err(format!("{field}.protocol: downstream is for clusters"));
        }
        for (name, seconds) in [
            ("head_timeout_s", listener.head_timeout_s),
            ("idle_timeout_s", listener.idle_timeout_s),
            ("keepalive_interval_s", listener.keepalive_interval_s),
            ("keepalive_timeout_s", listener.keepalive_timeout_s),
        ] {
            check_seconds(seconds).map_err(|what| format!("{field}.{name}: {what}"))?;
        }
        if !listener.via.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') {
            return Err(format!("{field}.via: {:?} is not a pseudonym (RFC 9110 7.6.3)", listener.via));
        }
        if listener.max_head_bytes == 0 || listener.max_head_count == 0 {
            return Err(format!("{field}: max_head_bytes and max_head_count must be at least 1"));
        }
    }
    Ok(())
}
