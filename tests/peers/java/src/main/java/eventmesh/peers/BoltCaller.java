package eventmesh.peers;

import com.alipay.remoting.CustomSerializerManager;
import com.alipay.remoting.InvokeCallback;
import com.alipay.remoting.exception.RemotingException;
import com.alipay.remoting.rpc.RpcClient;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A SOFABolt client driven by lines on stdin, each answered by one line on stdout:
 * "sync TIMEOUT_MS TEXT", "oneway TEXT", "many COUNT". Arguments: HOST:PORT SERVICE.
 */
public final class BoltCaller {
    private BoltCaller() {}

    public static void main(String[] args) throws Exception {
        CustomSerializerManager.registerCustomSerializer(String.class.getName(), new ServiceHeader(args[1]));
        RpcClient client = new RpcClient();
        client.startup();
        System.out.println("READY");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(answer(client, args[0], line));
            System.out.flush();
        }
        client.shutdown();
        System.exit(0);
    }

    private static String answer(RpcClient client, String address, String line) {
        try {
            String[] words = line.split(" ", 3);
            switch (words[0]) {
                case "sync":
                    return "OK " + client.invokeSync(address, words[2], Integer.parseInt(words[1]));
                case "oneway":
                    client.oneway(address, line.substring(7));
                    return "SENT";
                case "many":
                    return many(client, address, Integer.parseInt(words[1]));
                default:
                    return "ERROR unknown command " + words[0];
            }
        } catch (RemotingException e) {
            return "ERROR " + e.getClass().getSimpleName() + " " + String.valueOf(e.getMessage()).lines().findFirst().orElse("");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return "ERROR interrupted";
        }
    }

    /** All in flight at once on one connection, so that answers come back out of order of nobody's making. */
    private static String many(RpcClient client, String address, int count)
            throws RemotingException, InterruptedException {
        CountDownLatch left = new CountDownLatch(count);
        AtomicInteger right = new AtomicInteger();
        for (int i = 0; i < count; i++) {
            String name = "n" + i;
            client.invokeWithCallback(address, name, new InvokeCallback() {
                @Override
                public void onResponse(Object result) {
                    if (("hello " + name).equals(result)) {
                        right.incrementAndGet();
                    }
                    left.countDown();
                }

                @Override
                public void onException(Throwable e) {
                    left.countDown();
                }

                @Override
                public Executor getExecutor() {
                    return null;
                }
            }, 10_000);
        }
        left.await();
        return "OK " + right.get() + "/" + count;
    }
}
