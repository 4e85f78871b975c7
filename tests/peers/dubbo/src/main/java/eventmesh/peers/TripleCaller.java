package eventmesh.peers;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.dubbo.common.stream.StreamObserver;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;
import org.apache.dubbo.rpc.RpcException;

/**
 * A Triple consumer driven by lines on stdin, each answered by one line on stdout: "greet TEXT", "count N", "echo N".
 * Arguments: HOST:PORT GROUP.
 */
public final class TripleCaller {
    private TripleCaller() {}

    /** Collects what a stream brings. */
    private static final class Heard implements StreamObserver<String> {
        private final List<String> texts = Collections.synchronizedList(new ArrayList<>());
        private final CountDownLatch over = new CountDownLatch(1);
        private volatile String end = "open";

        @Override
        public void onNext(String text) {
            texts.add(text);
        }

        @Override
        public void onError(Throwable error) {
            end = "ERROR " + String.valueOf(error.getMessage()).replace("\n", " ");
            over.countDown();
        }

        @Override
        public void onCompleted() {
            end = "OK";
            over.countDown();
        }

        String all() throws InterruptedException {
            over.await(20, TimeUnit.SECONDS);
            int last = texts.size() - 1;
            return end + " " + texts.size() + (last < 0 ? "" : " " + texts.get(0) + ", " + texts.get(last));
        }
    }

    public static void main(String[] args) throws Exception {
        ReferenceConfig<Talker> reference = new ReferenceConfig<>();
        reference.setInterface(Talker.class);
        reference.setGroup(args[1]);
        reference.setVersion("1.0");
        reference.setUrl("tri://" + args[0] + "/" + Talker.class.getName());
        reference.setTimeout(20_000);
        reference.setRetries(0);
        reference.setCheck(false);
        DubboBootstrap.getInstance().application(DubboCaller.application("consumer")).reference(reference).start();
        Talker talker = reference.get();
        System.out.println("READY");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(answer(talker, line));
            System.out.flush();
        }
        System.exit(0);
    }

    private static String answer(Talker talker, String line) throws InterruptedException {
        String[] words = line.split(" ", 2);
        Heard heard = new Heard();
        try {
            switch (words[0]) {
                case "greet":
                    return "OK " + talker.greet(words[1]);
                case "count":
                    talker.count(words[1], heard);
                    return heard.all();
                case "echo":
                    StreamObserver<String> said = talker.echo(heard);
                    for (int number = 1; number <= Integer.parseInt(words[1]); number++) {
                        said.onNext("n" + number);
                    }
                    said.onCompleted();
                    return heard.all();
                default:
                    return "ERROR unknown command " + words[0];
            }
        } catch (RpcException e) {
            return "ERROR code " + e.getCode() + " " + String.valueOf(e.getMessage()).replace("\n", " ");
        } catch (IllegalStateException e) {
            return "THROWN " + e.getMessage().lines().findFirst().orElse("");
        } catch (RuntimeException e) {
            return "ERROR " + e;
        }
    }
}
