# Looks for each line "KIND NAME WHAT" of a file; says what it reached and why it did not.
use strict;
use warnings;
use IO::Socket::INET;

$| = 1;
my %look = (
    read => sub {
        my ($path) = @_;
        open(my $file, '<', $path) or return;
        return read($file, my $bytes, 16);
    },
    dir => sub {
        my ($path) = @_;
        opendir(my $folder, $path) or return;
        return scalar(() = readdir($folder)) > 2;
    },
    find => sub {
        my ($root, $name) = split / /, $_[0];
        $! = 2;
        return `find $root -name $name -size +0 2>/dev/null` ne '';
    },
    environment => sub {
        my ($secret) = @_;
        $secret =~ tr{/}{-};
        my $all = join(' ', values %ENV);
        for my $path (glob('/proc/[0-9]*/environ /proc/[0-9]*/cmdline')) {
            open(my $file, '<', $path) or next;
            local $/;
            $all .= <$file> // '';
        }
        $! = 2;
        return index($all, $secret) >= 0;
    },
    http => sub {
        my ($peer, $path) = split / /, $_[0];
        my $socket = IO::Socket::INET->new(PeerAddr => $peer, Timeout => 5) or return;
        print $socket "GET $path HTTP/1.1\r\nHost: x\r\n\r\n";
        return defined(<$socket>);
    },
    udp => sub {
        my ($peer) = @_;
        my $socket = IO::Socket::INET->new(PeerAddr => $peer, Proto => 'udp') or return;
        # A QUIC packet of a version that nobody speaks: every server answers with those it does.
        my $packet = pack('CNCa8Ca8', 0xc0, 0x0a0a0a0a, 8, 'destinat', 8, 'thesource');
        $socket->send($packet . "\0" x (1200 - length $packet)) or return;
        my $ready = '';
        vec($ready, fileno($socket), 1) = 1;
        select($ready, undef, undef, 3) or ($! = 110, return);
        my $answer;
        return defined($socket->recv($answer, 2000)) && length $answer;
    },
    route => sub {
        my ($peer) = @_;
        return defined IO::Socket::INET->new(PeerAddr => $peer, Proto => 'udp');
    },
);
open(my $targets, '<', $ARGV[0]) or die "$ARGV[0]: $!";
while (my $line = <$targets>) {
    chomp $line;
    my ($kind, $name, $what) = split / /, $line, 3;
    $! = 0;
    my $reached = $look{$kind}->($what);
    print "SPY $name ", $reached ? 'REACHED' : "failed: $!", "\n";
}
