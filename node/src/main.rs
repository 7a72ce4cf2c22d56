//! Coordinator and worker of `rebuilder`.

use rebuilder_node::sandbox;

fn main() {
    // Before anything else: this process must still have one thread.
    if std::env::args_os().nth(1).is_some_and(|first| first == sandbox::INIT_ARGUMENT) {
        sandbox::init_main();
    }
}
